"""What a picture follows from, one file a cause: each an object of its own, drawn from a random stream of its own."""
