"""Independent codes that solve the same discrete problems as `lsml`."""
