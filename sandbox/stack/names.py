"""Names and ARNs of a stack's resources, as `Ref` and `Fn::GetAtt` return them.

Source: "Return values" of each resource type, CloudFormation user guide.
"""

from dataclasses import dataclass

_ARNS = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::ECS::Cluster": "ecs:{region}:{account}:cluster/{name}",
    "AWS::ECS::TaskDefinition": "ecs:{region}:{account}:task-definition/{name}:1",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "AWS::Serverless::Function": "lambda:{region}:{account}:function:{name}",
}
REF_IS_ARN = {
    "AWS::ECS::TaskDefinition",
    "AWS::IAM::ManagedPolicy",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
}


@dataclass(frozen=True)
class AwsAccount:
    """Where a stack would be deployed; `sqs` is the URL of SQS without a trailing slash."""

    stack_name: str = "echodrop"
    region: str = "us-east-1"
    account: str = "123456789012"
    partition: str = "aws"
    url_suffix: str = "amazonaws.com"
    sqs: str = "https://sqs.us-east-1.amazonaws.com"

    def pseudo_parameters(self) -> dict[str, str]:
        """Return CloudFormation's pseudo parameters."""
        return {
            "AWS::AccountId": self.account,
            "AWS::Partition": self.partition,
            "AWS::Region": self.region,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": self.url_suffix,
        }

    def arn(self, resource_type: str, name: str) -> str:
        """Return the ARN of a resource of this type and name.

        Raises:
            KeyError: the ARN format of the type is unknown.
        """
        rest = _ARNS[resource_type].format(region=self.region, account=self.account, name=name)
        return f"arn:{self.partition}:{rest}"
