"""From causes to pixels, joints and parts, in NumPy and Pillow. Nothing here draws a random number of its own."""
