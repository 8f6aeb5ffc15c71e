"""What is known of the videos and their labels: tables, decoding, importers, the demo pool."""
