"""What a person looks at: figures of a round, and MLflow. Everything here is derived from the run directory."""
