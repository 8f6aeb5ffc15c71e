"""What people are asked: the frames of a purchase, each with its picture, its surroundings and what is known of it."""
