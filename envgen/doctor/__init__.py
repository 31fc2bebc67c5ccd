"""What a machine has and lacks for building and running images: findings, each with its cure."""
