"""Files that the Dockerfile uses to build the images."""
