"""Each invariant detects its fault."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.stack.names import AwsAccount
from tests.template.invariants.everything import INVARIANTS
from tests.template.stacks import (
    CHINA,
    EXISTING,
    GOVCLOUD,
    LONGEST_NAME,
    MADE,
    OPEN_SERVER,
    OWN_CREDENTIALS,
    source_template,
    translate,
)

# They prove the checks, not the template.
pytestmark = pytest.mark.slow

GONE = object()


@dataclass(frozen=True)
class Mutation:
    """A value set at a path of the template (or removed), and the invariant that must detect it.

    A path's parts are keys or indexes; it starts in a resource's properties
    unless its first part is a section of the template.
    """

    broken: str
    path: str
    value: Any = GONE
    parameters: Mapping[str, str] | None = None
    account: AwsAccount | None = None

    def __str__(self) -> str:
        return f"{self.broken}-{self.path}"

    def apply(self, template: dict[str, Any]) -> None:
        parts = self.path.split("/")
        if parts[0] not in {"Parameters", "Rules", "Resources", "Outputs"}:
            parts = ["Resources", parts[0], "Properties", *parts[1:]]
        *way, last = (int(part) if part.isdigit() else part.replace("~", "/") for part in parts)
        place: Any = template
        for part in way:
            place = place[part]
        if isinstance(place, list) and last == len(place):
            place.append(self.value)
        elif self.value is GONE:
            del place[last]
        else:
            place[last] = copy.deepcopy(self.value)


def allow(action: str, resource: Any = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


ENDPOINT_POLICY = "S3Endpoint/PolicyDocument/Statement"
SHIP_POLICY = "UploaderPolicy/PolicyDocument/Statement"
SOURCE = "Events/Uploads/Properties"
TRIGGER_POLICY = "TriggerRole/Policies/0/PolicyDocument/Statement"
TASK_POLICY = "TaskRole/Policies/0/PolicyDocument/Statement"
WORKER_POLICY = "WorkerRole/Policies/0/PolicyDocument/Statement"
OPERATIONS_POLICY = "OperationsRole/Policies/2/PolicyDocument/Statement"
CONTAINER = "ConversionTask/ContainerDefinitions/0"
OPERATIONS = "OperationsTask/ContainerDefinitions/0"
WORKER = "WorkerTask/ContainerDefinitions/0"
RULES = "RulesDocument/Value/Fn::Sub/0"
# As charts were before metrics had the stack's name.
SHARED_CHART = (
    '{"widgets": [{"properties": {"metrics": [["echodrop", "BadFiles", "service", "watchdog"]]}}]}'
)

MUTATIONS = [
    Mutation("a_message_stays_hidden_six_times_the_timeout", "Trigger/Timeout", 61),
    Mutation("a_message_stays_hidden_six_times_the_timeout", "UploadQueue/VisibilityTimeout"),
    Mutation("every_queue_has_dead_letters", "UploadQueue/RedrivePolicy"),
    Mutation("every_queue_has_dead_letters", "TaskStateQueue/RedrivePolicy"),
    Mutation("every_rule_target_has_dead_letters", "UploadRule/Targets/0/DeadLetterConfig"),
    Mutation("every_rule_target_has_dead_letters", "FailedTaskRule/Targets/0/DeadLetterConfig"),
    # Two earlier faults that lost alerts: the first, a condition for EventBridge on a topic; the
    # second, a policy that replaces the default and allows nobody.
    Mutation(
        "every_rule_reaches_its_targets",
        "AlertTopicPolicy/PolicyDocument/Statement/1/Condition",
        {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["FailedTaskRule", "Arn"]}}},
    ),
    Mutation("every_alarm_reaches_its_targets", "NoticeTopicPolicy/PolicyDocument/Statement/0"),
    Mutation(
        "every_rule_reaches_its_targets",
        "AlertTopicPolicy/PolicyDocument/Statement/1/Condition",
        {"StringEqualsIfExists": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    ),
    Mutation(
        "every_rule_reaches_its_targets",
        "UploadQueuePolicy/PolicyDocument/Statement/0/Condition/ArnEquals/aws:SourceArn/0",
    ),
    Mutation(
        "every_rule_reaches_its_targets",
        "UploadQueuePolicy/PolicyDocument/Statement/0/Condition/ArnEquals/aws:SourceArn/1",
    ),
    Mutation("every_rule_reaches_its_targets", "UploadQueuePolicy/Queues/1"),
    Mutation("every_rule_reaches_its_targets", "TaskStateQueuePolicy/PolicyDocument/Statement/0/Resource/1"),
    Mutation("every_rule_reaches_its_targets", "AlertTopicPolicy/PolicyDocument/Statement/1"),
    Mutation("every_rule_reaches_its_targets", "Key/KeyPolicy/Statement/3"),
    Mutation("every_rule_reaches_its_targets", "Key/KeyPolicy/Statement/3/Action", "kms:Decrypt"),
    Mutation(
        "every_rule_reaches_its_targets",
        "Key/KeyPolicy/Statement/3/Condition",
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    ),
    Mutation("every_rule_reaches_its_targets", "WatchPermission/Principal", "s3.amazonaws.com"),
    Mutation("every_rule_reaches_its_targets", "WatchPermission/SourceArn", {"Fn::GetAtt": ["UploadRule", "Arn"]}),
    Mutation("every_alarm_reaches_its_targets", "AlertTopicPolicy/PolicyDocument/Statement/0"),
    Mutation("every_alarm_reaches_its_targets", "AlertTopicPolicy/PolicyDocument/Statement/0/Condition/StringEquals/aws:SourceAccount", "1"),
    Mutation("every_alarm_reaches_its_targets", "AlertTopicPolicy/Topics/0", {"Ref": "NoticeTopic"}),
    Mutation("every_alarm_reaches_its_targets", "AlertTopicPolicy/PolicyDocument/Statement/2/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
    Mutation("every_alarm_reaches_its_targets", "Key/KeyPolicy/Statement/2"),
    Mutation("every_alarm_reaches_its_targets", "NoticeTopic/KmsMasterKeyId", "alias/aws/sns"),
    Mutation("every_alarm_reaches_its_targets", "WorkerAlarm/AlarmActions/0", {"Ref": "UploadQueue"}),
    Mutation("every_alarm_reaches_a_person", "WorkerAlarm/AlarmActions"),
    Mutation("every_alarm_reaches_a_person", "Resources/AlertSubscription"),
    Mutation("every_alarm_reaches_a_person", "NoticeSubscription/Protocol", "sqs"),
    Mutation("every_alarm_reaches_a_person", "WorkerAlarm/ActionsEnabled", False),  # noqa: FBT003 - a property's value
    Mutation(
        "every_subscription_reaches_its_endpoint",
        "Resources/AlertSubscription/Properties",
        {"TopicArn": {"Ref": "AlertTopic"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["UploadQueue", "Arn"]}},
    ),
    Mutation(
        "every_bucket_reaches_its_targets",
        "InboxBucket/NotificationConfiguration/QueueConfigurations",
        [{"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["UploadQueue", "Arn"]}}],
    ),
    Mutation(
        "every_budget_reaches_its_topics",
        "Budget/NotificationsWithSubscribers/0/Subscribers",
        [{"SubscriptionType": "SNS", "Address": {"Ref": "AlertTopic"}}],
        EXISTING,
    ),
    # An earlier value; AWS publishes more.
    Mutation(
        "logs_are_encrypted_with_a_key_that_logs_may_use",
        "Key/KeyPolicy/Statement/1/Action",
        ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
    ),
    Mutation("logs_are_encrypted_with_a_key_that_logs_may_use", "Key/KeyPolicy/Statement/1"),
    Mutation(
        "logs_are_encrypted_with_a_key_that_logs_may_use",
        "Key/KeyPolicy/Statement/1/Principal/Service",
        "logs.eu-west-1.amazonaws.com",
    ),
    Mutation("logs_are_encrypted_with_a_key_that_logs_may_use", "WorkerLogs/LogGroupName", "/ecs/worker"),
    Mutation("roles_with_a_topic_may_publish_to_it", "TaskAlertPolicy/PolicyDocument/Statement/0/Resource/1"),
    Mutation("roles_with_a_topic_may_publish_to_it", "WatchdogRole/Policies/2/PolicyDocument/Statement/1"),
    Mutation("roles_with_a_topic_may_publish_to_it", "Key/KeyPolicy/Statement/0"),
    Mutation("functions_may_read_the_queues_that_feed_them", "TriggerRole/Policies/0/PolicyDocument/Statement/0/Action/0"),
    Mutation("functions_may_read_the_queues_that_feed_them", f"Trigger/{SOURCE}/Queue", {"Fn::GetAtt": ["TaskStateQueue", "Arn"]}),
    Mutation("every_alarm_watches_a_written_metric", "WatchdogRole/Policies/2/PolicyDocument/Statement/2/Resource", "arn:aws:logs:us-east-1:123456789012:log-group:/other:*"),
    Mutation("every_alarm_watches_a_written_metric", f"{OPERATIONS_POLICY}/4/Condition/StringEquals/cloudwatch:namespace", "other"),
    Mutation("every_alarm_watches_a_written_metric", "WorkerAlarm/Dimensions/1"),
    Mutation("every_alarm_watches_a_written_metric", "UploadDeadLettersAlarm/Dimensions/0/Value", "uploads-dead"),
    Mutation("every_alarm_watches_a_written_metric", "TriggerErrorsAlarm/MetricName", "Faults"),
    Mutation(
        "dead_letters_are_kept_14_days_and_longer_than_their_source",
        "UploadDeadLetters/MessageRetentionPeriod",
    ),
    Mutation(
        "dead_letters_are_kept_14_days_and_longer_than_their_source",
        "UploadQueue/MessageRetentionPeriod",
        1209600,
    ),
    Mutation("messages_outlive_their_deliveries", "UploadQueue/MessageRetentionPeriod", 3600),
    Mutation("one_bad_record_fails_alone", f"Trigger/{SOURCE}/FunctionResponseTypes"),
    Mutation("concurrency_is_limited", f"Trigger/{SOURCE}/ScalingConfig"),
    Mutation("the_trigger_runs_as_built", "Trigger/Handler", "handler.handler"),
    Mutation("the_trigger_runs_as_built", "Trigger/Runtime", "python3.9"),
    Mutation("the_trigger_runs_as_built", "Trigger/Architectures", ["x86_64"]),
    Mutation(
        "the_trigger_finds_its_settings", "Trigger/Environment/Variables/ECHODROP_RULES_PARAMETER"
    ),
    Mutation("only_the_exit_code_of_the_conversion_container_counts", "KilledTaskRule/EventPattern/detail/containers/name"),
    Mutation("only_the_exit_code_of_the_conversion_container_counts", "FailedTaskRule/EventPattern/detail/$or/0/containers/name"),
    Mutation("only_the_exit_code_of_the_conversion_container_counts", f"{CONTAINER}/Name", "conversion"),
    Mutation("the_rules_document_is_valid", RULES, "version = 2"),
    Mutation("the_rules_document_is_valid", "RulesDocument/Value/Fn::Sub/1/Output", {"Ref": "InboxBucket"}),
    Mutation("buckets_are_closed_to_the_public", "InboxBucket/PublicAccessBlockConfiguration"),
    Mutation(
        "buckets_are_closed_to_the_public",
        "OutputBucket/PublicAccessBlockConfiguration/RestrictPublicBuckets",
        False,  # noqa: FBT003 - a property's value
    ),
    Mutation("an_overwritten_upload_can_be_restored", "InboxBucket/VersioningConfiguration"),
    Mutation("unfinished_uploads_expire", "InboxBucket/LifecycleConfiguration/Rules/0"),
    Mutation("unfinished_uploads_expire", "OutputBucket/LifecycleConfiguration"),
    Mutation(
        "current_objects_never_expire",
        "OutputBucket/LifecycleConfiguration/Rules/0/ExpirationInDays",
        365,
    ),
    Mutation("data_and_keys_outlive_the_stack", "Resources/InboxBucket/DeletionPolicy"),
    Mutation("data_and_keys_outlive_the_stack", "Resources/OutputBucket/UpdateReplacePolicy", "Delete"),
    Mutation("data_and_keys_outlive_the_stack", "Resources/PrefectSecret/DeletionPolicy"),
    Mutation("data_and_keys_outlive_the_stack", "Resources/Key/DeletionPolicy", "Retain"),
    Mutation("data_and_keys_outlive_the_stack", "Resources/Key/UpdateReplacePolicy", "RetainExceptOnCreate"),
    Mutation("output_is_never_input", "Rules/InputIsNotOutput"),
    Mutation("output_is_never_input", "OutputBucket/BucketName", {"Fn::Sub": "${AWS::StackName}-inbox-${AWS::AccountId}"}),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/2"),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/1/Prefix", ".echodrop/"),
    Mutation("every_upload_is_notified", "InboxBucket/NotificationConfiguration"),
    Mutation("every_upload_is_notified", "UploadRule/EventPattern/detail/object", {"key": [{"suffix": ".raw"}]}),
    # A tag in the inbox must not notify of the file again.
    Mutation("every_upload_is_notified", "UploadRule/EventPattern/detail-type/1", "Object Tags Added"),
    Mutation("every_upload_is_notified", "UploadArchive/EventPattern/detail-type", ["Object Deleted"]),
    # The event of a restored object.
    Mutation("every_upload_is_notified", "UploadRule/EventPattern/detail-type/1"),
    Mutation("every_upload_is_notified", "UploadArchive/EventPattern/detail-type/1"),
    Mutation("a_restored_object_of_an_archive_is_notified", "ArchiveRestoreRule/EventPattern/resources", ["arn:aws:s3:::survey-archive"], EXISTING),
    Mutation("a_restored_object_of_an_archive_is_notified", "ArchiveRestoreRule/EventPattern/detail-type/0", "Object Created", EXISTING),
    Mutation("every_rule_reaches_its_targets", "UploadQueuePolicy/PolicyDocument/Statement/0/Condition/ArnEquals/aws:SourceArn/2", GONE, EXISTING),
    Mutation("created_buckets_are_encrypted_with_the_given_key", "InboxBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/ServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"}, MADE | {"InboxKeyArn": EXISTING["InboxKeyArn"]}),
    Mutation("created_buckets_are_encrypted_with_the_given_key", "OutputBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/BucketKeyEnabled", GONE, MADE | {"OutputKeyArn": EXISTING["OutputKeyArn"]}),
    Mutation("bucket_keys_serve_the_roles_that_use_the_bucket", "Resources/InboxKeyPolicy", GONE, EXISTING),
    Mutation("bucket_keys_serve_the_roles_that_use_the_bucket", "ArchiveKeyPolicy/Roles/2", GONE, EXISTING),
    Mutation("bucket_keys_serve_the_roles_that_use_the_bucket", "OutputKeyPolicy/Roles/2", {"Ref": "TriggerRole"}, EXISTING),
    Mutation("bucket_keys_serve_the_roles_that_use_the_bucket", "OutputKeyPolicy/PolicyDocument/Statement/0/Action/1", GONE, EXISTING),
    Mutation("bucket_keys_serve_the_roles_that_use_the_bucket", "InboxKeyPolicy/PolicyDocument/Statement/0/Condition", GONE, EXISTING),
    Mutation(
        "bucket_keys_serve_the_roles_that_use_the_bucket",
        "ArchiveKeyPolicy/PolicyDocument/Statement/0/Condition",
        {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        EXISTING,
    ),
    Mutation("the_trigger_reads_only_inbox_and_archive", "TriggerArchivePolicy/PolicyDocument/Statement/0/Resource", "arn:aws:s3:::survey-archive/*", EXISTING),
    Mutation("own_subnets_have_room_for_every_task", "SubnetA/CidrBlock", "10.72.0.0/20"),
    Mutation("own_subnets_have_room_for_every_task", "SubnetB/CidrBlock", "10.71.16.0/25"),
    Mutation("own_subnets_have_room_for_every_task", "SubnetB/CidrBlock", "10.71.0.0/20"),
    Mutation("everything_is_encrypted_at_rest", "UploadQueue/SqsManagedSseEnabled"),
    Mutation("everything_is_encrypted_at_rest", "AlertTopic/KmsMasterKeyId"),
    Mutation("everything_is_encrypted_at_rest", "ConversionLogs/KmsKeyId"),
    Mutation("everything_is_encrypted_at_rest", "OutputBucket/BucketEncryption"),
    Mutation("everything_is_encrypted_at_rest", "Key/EnableKeyRotation"),
    Mutation("only_tls_is_accepted", "InboxBucketPolicy/PolicyDocument/Statement/0"),
    Mutation("only_tls_is_accepted", "UploadQueuePolicy/PolicyDocument/Statement/1/Resource/1"),
    Mutation("only_tls_is_accepted", "AlertTopicPolicy/PolicyDocument/Statement/2"),
    Mutation("only_tls_is_accepted", "OutputBucketPolicy/PolicyDocument/Statement/0/Resource/1"),
    Mutation(
        "no_incoming_traffic_is_allowed",
        "OutboundOnly/SecurityGroupIngress",
        [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}],
    ),
    Mutation("no_incoming_traffic_is_allowed", "OutboundOnly/SecurityGroupEgress"),
    Mutation("no_incoming_traffic_is_allowed", "SubnetA/MapPublicIpOnLaunch"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", "S3Endpoint/PolicyDocument"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/0/Resource", "*"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/0/Condition"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/0/Resource/3"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/1/Fn::If/1", {"Ref": "AWS::NoValue"}, OPEN_SERVER),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/1/Fn::If/1/Action/0", "s3:*", OPEN_SERVER),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/2"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/3/Action/0", "s3:PutObject"),
    Mutation("tasks_reach_their_own_buckets_and_no_others", f"{ENDPOINT_POLICY}/3/Condition"),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", "Resources/UploaderPolicy"),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", f"{SHIP_POLICY}/0/Action/0", "s3:GetObject"),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", f"{SHIP_POLICY}/2", allow("s3:ListBucket")),
    Mutation(
        "a_ship_may_upload_below_its_prefix_and_nothing_else",
        f"{SHIP_POLICY}/0/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/*",
    ),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", f"{SHIP_POLICY}/1", GONE, EXISTING),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", f"{SHIP_POLICY}/1/Fn::If/1/Condition", GONE, EXISTING),
    Mutation("a_ship_may_upload_below_its_prefix_and_nothing_else", "Outputs/UploaderPolicyDocument/Value", "{}"),
    Mutation("every_grant_names_its_resources", f"{TRIGGER_POLICY}/1", allow("sqs:SendMessage")),
    Mutation("every_grant_names_its_resources", f"{TRIGGER_POLICY}/1", allow("s3:*", "arn:aws:s3:::survey/*")),
    Mutation("every_grant_names_its_resources", f"{TRIGGER_POLICY}/1", allow("s3:GetObject", "arn:aws:s3:::*")),
    Mutation(
        "every_grant_names_its_resources",
        f"{TRIGGER_POLICY}/1",
        {"Effect": "Allow", "NotAction": "iam:PassRole", "Resource": "arn:aws:s3:::survey/*"},
    ),
    Mutation("every_principal_is_named", "UploadQueuePolicy/PolicyDocument/Statement/0/Principal", "*"),
    Mutation("every_principal_is_named", "TaskRole/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "*"}),
    Mutation("services_act_only_for_this_account", "TaskRole/AssumeRolePolicyDocument/Statement/0/Condition"),
    Mutation("services_act_only_for_this_account", "AlertTopicPolicy/PolicyDocument/Statement/0/Condition"),
    Mutation("services_act_only_for_this_account", "Key/KeyPolicy/Statement/2/Condition"),
    Mutation("roles_are_passed_only_to_tasks", f"{WORKER_POLICY}/4/Condition"),
    Mutation("roles_are_passed_only_to_tasks", f"{WORKER_POLICY}/4/Resource", "arn:aws:iam::123456789012:role/*"),
    Mutation("roles_are_passed_only_to_tasks", f"{WORKER_POLICY}/4/Resource/2", {"Fn::GetAtt": ["WorkerRole", "Arn"]}),
    Mutation("roles_are_passed_only_to_tasks", f"{TASK_POLICY}/2", allow("iam:PassRole", {"Fn::GetAtt": ["TaskRole", "Arn"]})),
    Mutation(
        "tasks_read_inbox_and_archive_and_write_below_the_output_prefix",
        f"{TASK_POLICY}/0/Action/2",
        "s3:PutObject",
    ),
    Mutation(
        "tasks_read_inbox_and_archive_and_write_below_the_output_prefix",
        "TaskRole/Policies/1/PolicyDocument/Statement/0/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/*",
        EXISTING,
    ),
    Mutation("the_worker_runs_only_these_families_on_this_cluster", f"{WORKER_POLICY}/0/Condition"),
    Mutation(
        "the_worker_runs_only_these_families_on_this_cluster",
        f"{WORKER_POLICY}/0/Resource",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/*",
    ),
    Mutation(
        "the_worker_runs_only_these_families_on_this_cluster",
        f"{WORKER_POLICY}/1/Resource",
        "arn:aws:ecs:us-east-1:123456789012:task/*",
    ),
    Mutation("the_worker_runs_only_these_families_on_this_cluster", f"{WORKER_POLICY}/5", allow("ecs:RegisterTaskDefinition")),
    Mutation("the_worker_runs_only_these_families_on_this_cluster", f"{OPERATIONS_POLICY}/2/Condition"),
    Mutation("every_grant_names_its_resources", f"{OPERATIONS_POLICY}/4/Condition"),
    Mutation("credentials_are_only_referred_to", "Trigger/Environment/Variables/PREFECT_API_KEY", "pnu_0123"),
    Mutation("credentials_are_only_referred_to", f"{WORKER}/Environment/0/Name", "PREFECT_API_AUTH_STRING"),
    Mutation("credentials_are_only_referred_to", "PrefectSecret/SecretString", '{"api_key": "pnu_0123"}'),
    Mutation("credentials_are_only_referred_to", "Parameters/PrefectApiUrl/NoEcho", True),  # noqa: FBT003 - a property's value
    Mutation(
        "credentials_are_only_referred_to",
        "Trigger/Environment/Variables/PREFECT_API_URL",
        "{{resolve:secretsmanager:prefect:SecretString:api_key}}",
    ),
    Mutation("each_role_gets_only_its_own_credential", f"{CONTAINER}/Secrets"),
    Mutation("a_stopped_task_reschedules_its_run", f"{CONTAINER}/Environment/4/Value", "crash"),
    Mutation("a_stopped_task_reschedules_its_run", f"{CONTAINER}/LinuxParameters"),
    Mutation("each_role_gets_only_its_own_credential", f"{WORKER}/Secrets/Fn::If/1/0/Name", "PREFECT_API_KEY", EXISTING),
    Mutation("each_role_gets_only_its_own_credential", "TriggerSecretPolicy/RoleName", {"Ref": "TaskRole"}),
    Mutation("containers_are_confined", f"{CONTAINER}/ReadonlyRootFilesystem"),
    Mutation("containers_are_confined", f"{CONTAINER}/Image", "echodrop:latest"),
    Mutation("containers_are_confined", f"{CONTAINER}/LinuxParameters/Capabilities"),
    Mutation("containers_are_confined", f"{OPERATIONS}/LinuxParameters/Capabilities/Drop/0", "NET_RAW"),
    Mutation("containers_are_confined", f"{WORKER}/LinuxParameters/Capabilities/Add", ["SYS_PTRACE"]),
    Mutation("containers_are_confined", f"{CONTAINER}/Memory", 2048),
    Mutation("containers_are_confined", "ConversionTask/NetworkMode", "bridge"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", f"{WORKER}/Environment/1"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/clusterArn", ["arn:of:another"]),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/clusterArn"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/lastStatus"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/group"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/group/1"),
    Mutation("the_worker_only_gets_the_ends_of_tasks", "TaskStateRule/EventPattern/detail/stopCode", ["EssentialContainerExited"]),
    Mutation("the_worker_survives_a_bad_deployment", "WorkerService/DeploymentConfiguration/DeploymentCircuitBreaker"),
    Mutation("the_worker_survives_a_bad_deployment", "WorkerService/DeploymentConfiguration/MinimumHealthyPercent", 0),
    Mutation("the_worker_survives_a_bad_deployment", "Parameters/WorkerCount/Default", 0),
    Mutation("the_worker_survives_a_bad_deployment", f"{WORKER}/HealthCheck"),
    Mutation("the_worker_s_first_task_has_its_route_and_its_secret", "Resources/WorkerService/Metadata/After/0/Fn::If/1/1"),
    Mutation("the_worker_s_first_task_has_its_route_and_its_secret", "Resources/WorkerService/Metadata/After/1", GONE, EXISTING),
    Mutation("the_worker_retries_while_the_quota_is_used_up", f"{WORKER}/Environment/4"),
    Mutation("the_worker_retries_while_the_quota_is_used_up", f"{WORKER}/Environment/5/Value", "60"),
    Mutation("logs_are_kept_for_a_time", "TriggerLogs/RetentionInDays"),
    Mutation("logs_are_kept_for_a_time", "Trigger/LoggingConfig"),
    Mutation("logs_are_kept_for_a_time", f"{CONTAINER}/LogConfiguration/Options/awslogs-group", "prefect"),
    Mutation("every_alarm_reports_its_end", "UploadsWaitAlarm/OKActions"),
    Mutation("every_alarm_reports_its_end", "TriggerErrorsAlarm/TreatMissingData"),
    Mutation("a_bad_file_raises_no_alert_by_default", f"{CONTAINER}/Environment/1"),
    Mutation("a_bad_file_raises_no_alert_by_default", f"{CONTAINER}/Environment/2/Value", {"Ref": "AlertTopic"}),
    Mutation(
        "a_bad_file_raises_no_alert_by_default",
        f"{CONTAINER}/Environment/2/Value",
        {"Ref": "NoticeTopic"},
        MADE | {"BadFilesPage": "yes"},
    ),
    Mutation("a_bad_file_raises_no_alert_by_default", f"{CONTAINER}/Environment/3"),
    Mutation("a_bad_file_raises_no_alert_by_default", "UploadsRejectedAlarm/AlarmActions/0", {"Ref": "AlertTopic"}),
    Mutation("a_bad_file_raises_no_alert_by_default", "UploadsLackSettingsAlarm/OKActions/0", {"Ref": "NoticeTopic"}, EXISTING),
    Mutation("a_bad_file_raises_no_alert_by_default", "RunsFailedAlarm/AlarmActions/0", {"Ref": "NoticeTopic"}),
    Mutation("no_alarm_ends_by_missing_data", "RunsLateAlarm/TreatMissingData", "notBreaching"),
    Mutation("no_alarm_ends_by_missing_data", "NeverNotifiedAlarm/TreatMissingData", "notBreaching"),
    Mutation("missing_data_breach_where_data_must_exist", "ReconcileSilentAlarm/TreatMissingData", "ignore"),
    Mutation("every_alarm_watches_a_written_metric", "ProductsFailedAlarm/MetricName", "ProductsMade"),
    Mutation("a_bad_file_raises_no_alert_by_default", "ProductsFailedAlarm/AlarmActions/0", {"Ref": "AlertTopic"}),
    Mutation("products_are_switched_and_counted_by_the_stack", "Outputs/Products/Value", "on", {**MADE, "Products": "off"}),
    Mutation("every_alarm_watches_a_written_metric", "ReconcileSilentAlarm/MetricName", "Compared"),
    Mutation("a_bad_file_raises_no_alert_by_default", "Resources/NoticeSubscription"),
    Mutation("missing_data_breach_where_data_must_exist", "WorkerAlarm/TreatMissingData", "notBreaching"),
    Mutation("every_dead_letter_raises_an_alarm", "UploadDeadLettersAlarm/Threshold", 100),
    Mutation("every_dead_letter_raises_an_alarm", "TaskStateDeadLettersAlarm/MetricName", "NumberOfMessagesSent"),
    Mutation("every_alarm_watches_a_written_metric", "UploadsRejectedAlarm/MetricName", "UploadsRefused"),
    Mutation("every_alarm_watches_a_written_metric", "UploadsLackSettingsAlarm/Namespace", "EchoDrop"),
    Mutation("no_alarm_uses_an_age_that_excludes_messages", "UploadsNotTakenAlarm/MetricName", "ApproximateAgeOfOldestMessage"),
    Mutation("no_alarm_uses_an_age_that_excludes_messages", "TaskStatesWaitAlarm/MetricName", "ApproximateAgeOfOldestMessage"),
    Mutation(
        "no_alarm_uses_an_age_that_excludes_messages",
        "TaskStatesWaitAlarm/Metrics",
        [{"Id": "age", "MetricStat": {"Metric": {
            "Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["TaskStateQueue", "QueueName"]}}],
        }}}],
    ),
    Mutation("an_unread_queue_raises_an_alarm", "UploadsNotTakenAlarm/Statistic", "Maximum"),
    Mutation("an_unread_queue_raises_an_alarm", "UploadsNotTakenAlarm/EvaluationPeriods", 60),
    Mutation("an_unread_queue_raises_an_alarm", "TaskStatesWaitAlarm/Dimensions/0/Value", {"Fn::GetAtt": ["UploadQueue", "QueueName"]}),
    Mutation("the_dashboard_shows_every_alarm", "Dashboard/DashboardBody", '{"widgets": []}'),
    Mutation("every_alarm_watches_a_written_metric", "RunsLateAlarm/MetricName", "LateFlows"),
    Mutation("every_alarm_watches_a_written_metric", "UploadsRejectedAlarm/Dimensions/2"),
    Mutation(
        "every_alarm_watches_a_written_metric",
        "RunsFailedAlarm/Dimensions/2",
        {"Name": "outcome", "Value": "Failed"},
    ),
    Mutation("own_metrics_are_only_those_of_this_stack", "RunsFailedAlarm/Dimensions/0"),
    Mutation("own_metrics_are_only_those_of_this_stack", "RunsFailedAlarm/Dimensions/0/Value", "another"),
    Mutation("own_metrics_are_only_those_of_this_stack", "Dashboard/DashboardBody", SHARED_CHART),
    Mutation("the_trigger_finds_its_settings", "Trigger/Environment/Variables/ECHODROP_STACK"),
    Mutation("the_watchdog_runs_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_STACK"),
    Mutation("missing_data_breach_where_data_must_exist", "PrefectAlarm/TreatMissingData", "notBreaching"),
    Mutation("the_dashboard_shows_every_alarms_metric", "RunsStuckAlarm/Dimensions/1/Value", "trigger"),
    Mutation("the_watchdog_runs_every_five_minutes", "WatchRule/ScheduleExpression", "rate(1 hour)"),
    Mutation("the_watchdog_runs_every_five_minutes", "WatchRule/Targets/0/Arn", {"Fn::GetAtt": ["Trigger", "Arn"]}),
    Mutation("the_watchdog_runs_every_five_minutes", "WatchPermission/SourceArn", {"Fn::GetAtt": ["UploadRule", "Arn"]}),
    Mutation("the_watchdog_runs_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_WORK_POOL"),
    Mutation("the_watchdog_runs_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_LOOK_BACK_SECONDS", "600"),
    Mutation("the_watchdog_runs_every_five_minutes", "Watchdog/Handler", "handler.handler"),
    Mutation("the_watchdog_changes_nothing_but_incidents_and_the_brake_s_note", "WatchdogRole/Policies/0/PolicyDocument/Statement/0/Action", "sqs:PurgeQueue"),
    Mutation(
        "the_watchdog_changes_nothing_but_incidents_and_the_brake_s_note",
        "WatchdogRole/Policies/0/PolicyDocument/Statement/1/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/*",
    ),
    Mutation("an_overdue_full_reconciliation_raises_an_alarm", "WholeLookOldAlarm/Threshold", 2592000),
    Mutation("an_overdue_full_reconciliation_raises_an_alarm", "WholeLookOldAlarm/Threshold", 86400),
    Mutation("an_overdue_full_reconciliation_raises_an_alarm", "WholeLookOldAlarm/TreatMissingData", "notBreaching"),
    Mutation("the_record_of_finished_uploads_outlives_a_full_run", "OutputBucket/LifecycleConfiguration/Rules/2/ExpirationInDays", 7),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/3/ExpirationInDays", 0),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/1"),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/4/Value", "s3://elsewhere/"),
    Mutation("the_reconciliation_finds_its_settings", "OperationsTask/Family", "operations"),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/3"),
    Mutation("the_reconciliation_writes_only_its_report", "OperationsRole/Policies/0/PolicyDocument/Statement/0/Action/0", "s3:DeleteObject"),
    Mutation(
        "the_reconciliation_writes_only_its_report",
        "OperationsRole/Policies/1/PolicyDocument/Statement/2/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/${OutputPrefix}*",
    ),
    Mutation("outputs_are_listed_only_below_their_prefix", "TaskRole/Policies/1/PolicyDocument/Statement/1/Condition"),
    Mutation("outputs_are_listed_only_below_their_prefix", "OperationsRole/Policies/1/PolicyDocument/Statement/1/Condition", GONE, EXISTING),
    Mutation("outputs_are_listed_only_below_their_prefix", "WatchdogRole/Policies/0/PolicyDocument/Statement/2/Condition"),
    # Prefect's own five retries, an earlier value.
    Mutation("tasks_and_worker_survive_a_429", f"{WORKER}/Environment/7"),
    Mutation("tasks_and_worker_survive_a_429", f"{CONTAINER}/Environment/5/Value", "5"),
    Mutation("tasks_and_worker_survive_a_429", f"{WORKER}/Environment/7/Value", "10"),
    Mutation("the_watchdog_survives_a_minute_of_429", "Watchdog/Timeout", 60),
    Mutation("the_watchdog_survives_a_minute_of_429", "Watchdog/Timeout", 300),
    Mutation("the_reconciliation_keeps_to_a_rate", f"{OPERATIONS}/Environment/6"),
    # Newer parts must satisfy the same.
    Mutation("every_rule_target_has_dead_letters", "KilledTaskRule/Targets/0/DeadLetterConfig"),
    Mutation("every_rule_target_has_dead_letters", "WatchRule/Targets/0/DeadLetterConfig"),
    Mutation("everything_is_encrypted_at_rest", "NoticeTopic/KmsMasterKeyId"),
    Mutation("everything_is_encrypted_at_rest", "WatchdogLogs/KmsKeyId"),
    Mutation("only_tls_is_accepted", "NoticeTopicPolicy/PolicyDocument/Statement/1"),
    Mutation("logs_are_kept_for_a_time", "WatchdogLogs/RetentionInDays"),
    Mutation("logs_are_kept_for_a_time", "Watchdog/LoggingConfig"),
    Mutation("logs_are_kept_for_a_time", f"{OPERATIONS}/LogConfiguration/Options/awslogs-group", "prefect"),
    Mutation("containers_are_confined", f"{OPERATIONS}/ReadonlyRootFilesystem"),
    Mutation("each_role_gets_only_its_own_credential", f"{OPERATIONS}/Secrets"),
    Mutation("each_role_gets_only_its_own_credential", "WatchdogSecretPolicy/RoleName", {"Ref": "TaskRole"}),
    # An earlier design: one ECS role and one secret for tasks and worker.
    Mutation("each_role_gets_only_its_own_credential", "WorkerTask/ExecutionRoleArn", {"Fn::GetAtt": ["ExecutionRole", "Arn"]}, OWN_CREDENTIALS),
    Mutation("each_role_gets_only_its_own_credential", "WorkerExecutionSecretPolicy/RoleName", {"Ref": "ExecutionRole"}),
    Mutation("each_role_gets_only_its_own_credential", "TriggerSecretPolicy/PolicyDocument/Statement/0/Resource", {"Ref": "TaskSecretArn"}, OWN_CREDENTIALS),
    Mutation(
        "each_role_gets_only_its_own_credential",
        "WatchdogSecretPolicy/PolicyDocument/Statement/0/Resource",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:*",
    ),
    Mutation("each_role_gets_only_its_own_credential", "Watchdog/Environment/Variables/PREFECT_AUTH_SECRET_ARN", {"Ref": "TriggerSecretArn"}, OWN_CREDENTIALS),
    Mutation("each_role_gets_only_its_own_credential", "Outputs/PrefectSecretName/Value", {"Ref": "WorkerSecretArn"}, OWN_CREDENTIALS),
    Mutation("every_created_secret_is_read", "Resources/PrefectSecret/Condition", "HasSecret", OWN_CREDENTIALS),
    Mutation("services_act_only_for_this_account", "Key/KeyPolicy/Statement/2/Condition"),
    Mutation(
        "only_functions_in_a_vpc_have_a_managed_policy",
        "TaskRole/ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/AmazonS3FullAccess"],
    ),
    Mutation(
        "only_functions_in_a_vpc_have_a_managed_policy",
        "WatchdogRole/ManagedPolicyArns/Fn::If/1/0",
        {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"},
        EXISTING,
    ),
    Mutation("services_act_only_for_this_account", "OperationsRole/AssumeRolePolicyDocument/Statement/0/Condition"),
    Mutation("every_grant_names_its_resources", "TriggerArchivePolicy/PolicyDocument/Statement/0/Resource", "*", EXISTING),
    Mutation("every_parameter_is_described_and_limited", "Parameters/AlertEmail/Description"),
    Mutation("every_parameter_is_described_and_limited", "Parameters/AlertEmail/AllowedPattern"),
    Mutation("every_parameter_is_described_and_limited", "Parameters/ArchiveDays/MaxValue"),
    Mutation(
        "tasks_read_inbox_and_archive_and_write_below_the_output_prefix",
        "TaskArchivePolicy/PolicyDocument/Statement/0/Action/0", "s3:PutObject", EXISTING,
    ),
    Mutation(
        "the_trigger_is_notified_of_out_of_memory_kills",
        "KilledTaskRule/EventPattern/detail/group",
    ),
    Mutation(
        "the_trigger_reads_only_inbox_and_archive",
        "TriggerArchivePolicy/PolicyDocument/Statement/0/Action/0", "s3:DeleteObject", EXISTING,
    ),
    # The earlier defaults.
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/LiveConcurrency/Default", 100),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/BackfillConcurrency/Default", 20),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/BackfillConcurrency/Default", 2),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/WorkerCount/Default", 2),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "WorkerTask/Cpu", 1024),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "OperationsTask/Cpu", 2048),
    # No budget by default, as before.
    Mutation("cost_is_limited_by_default", "Parameters/MonthlyBudgetUsd/Default", 0),
    Mutation("cost_is_limited_by_default", "Parameters/BrakeRunsAnHour/Default", 0),
    Mutation("cost_is_limited_by_default", "Parameters/BrakeRunsAnHour/Default", 100),
    Mutation("cost_is_limited_by_default", "Parameters/BrakeBudgetPercent/Default", 0),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BRAKE_RUNS_AN_HOUR"),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BUDGET_ARN"),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BRAKE_NOTE/Fn::Sub/0", "s3://${Bucket}/brake/"),
    Mutation("the_brake_finds_its_settings", "Budget/Budget/BudgetName", "another"),
    Mutation("the_budget_counts_the_tag_of_the_stack", "Budget/Budget/CostFilters/TagKeyValue/0", "user:project$echodrop"),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/0"),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/1/Condition", {"StringLike": {"s3:prefix": "incidents/*"}}),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/2"),
    # EC2 refused the apostrophe: no stack with a port other than 443 could be created.
    Mutation(
        "names_and_descriptions_are_accepted_by_their_service",
        "OutboundOnly/SecurityGroupEgress/1/Fn::If/1/Description", "Prefect's API on its own port", EXISTING,
    ),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "OutboundOnly/GroupDescription", "x" * 256),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "TaskRole/Description", "Reads \N{EM DASH} and writes"),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "Trigger/Description", "x" * 257),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "WorkerAlarm/AlarmDescription", "x" * 1025),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "UploadRule/Targets/0/Id", "the uploads"),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "TaskStateQueue/QueueName", "task.states"),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "AlertTopicPolicy/PolicyDocument/Statement/0/Sid", "of-this-account"),
    Mutation("names_and_descriptions_are_accepted_by_their_service", "PrefectSecret/Name", "prefect-secret"),
    # Only accepted with a short stack name.
    Mutation(
        "names_and_descriptions_are_accepted_by_their_service",
        "UploadRule/Name", {"Fn::Sub": "${AWS::StackName}-uploads-to-the-inbox-bucket"}, MADE, AwsAccount(LONGEST_NAME),
    ),
    Mutation(
        "names_and_descriptions_are_accepted_by_their_service",
        "OutputBucket/BucketName", {"Fn::Sub": "${AWS::StackName}-converted-files-${AWS::AccountId}"}, MADE, AwsAccount(LONGEST_NAME),
    ),
    # A type without rules for its texts.
    Mutation(
        "names_and_descriptions_are_accepted_by_their_service",
        "Resources/Schedule", {"Type": "AWS::Scheduler::Schedule", "Properties": {"Name": "watch"}},
    ),
    Mutation("descriptions_of_the_template_are_accepted_by_cloudformation", "Parameters/AlertEmail/Description", "x" * 4001),
    Mutation("descriptions_of_the_template_are_accepted_by_cloudformation", "Outputs/Inbox/Description", "x" * 1025),
    Mutation("nothing_is_written_for_one_partition", "Key/KeyPolicy/Statement/1/Principal/Service", {"Fn::Sub": "logs.${AWS::Region}.amazonaws.com"}),
    Mutation("nothing_is_written_for_one_partition", "Trigger/Environment/Variables/SQS", {"Fn::Sub": "https://sqs.${AWS::Region}.amazonaws.com"}),
    Mutation(
        "nothing_is_written_for_one_partition",
        f"{TRIGGER_POLICY}/0/Resource", {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-uploads"},
    ),
    Mutation(
        "every_arn_is_of_the_stack_s_partition",
        f"{TRIGGER_POLICY}/0/Resource", {"Fn::Join": [":", ["arn:aws:sqs", {"Ref": "AWS::Region"}, "1", "uploads"]]}, MADE, CHINA,
    ),
    Mutation(
        "every_service_exists_in_the_partition",
        "Resources/Budget/Condition", "HasBoundary", EXISTING, GOVCLOUD,
    ),
    Mutation("every_role_has_the_given_boundary", "WatchdogRole/PermissionsBoundary", GONE, EXISTING),
    Mutation(
        "every_role_has_the_given_boundary",
        "TaskRole/PermissionsBoundary", {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_fault_is_found(mutation: Mutation) -> None:
    template = source_template()
    mutation.apply(template)
    stack = translate(template, mutation.parameters or MADE, mutation.account)
    assert list(INVARIANTS[mutation.broken](stack))


def test_every_invariant_has_its_fault() -> None:
    assert {mutation.broken for mutation in MUTATIONS} == set(INVARIANTS)
