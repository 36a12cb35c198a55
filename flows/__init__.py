"""The conversion flow that runs on ECS, its steps, and its deployment."""
