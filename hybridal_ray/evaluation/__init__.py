"""From foreground maps to boxes, tubes and metrics."""
