"""Registers the sandbox's stack with its Prefect server, as `echodrop deploy` does."""

import argparse

import boto3

from flows.deployment.stack_deployment import register_stack, stack_outputs


def main() -> None:
    """Register the stack of the environment's AWS (`python -m sandbox.prefect.registration --stack NAME`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", required=True)
    outputs = stack_outputs(boto3.client("cloudformation"), parser.parse_args().stack)
    register_stack(outputs, print)


if __name__ == "__main__":
    main()
