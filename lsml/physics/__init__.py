"""Physics: media, discretizations and the classical iterations."""
