"""What experiments share: data, training, and what is measured of both. Knows no claims."""
