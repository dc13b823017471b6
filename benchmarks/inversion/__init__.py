"""What of the miners' training images an owner reads in a public step, by local steps, sum, clipping, noise and initial model."""
