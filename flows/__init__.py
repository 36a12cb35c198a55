"""What runs on ECS: the conversion flow and its steps; deployments."""
