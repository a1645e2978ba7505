"""Records: what a run leaves on disk, and all that follows from it without a device."""
