"""Where a person's joints are: read from files, drawn as maps, moved along with a picture, kept on disk."""
