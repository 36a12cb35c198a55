"""Each invariant finds the fault that it is there for."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.stack_names import AwsAccount
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

GONE = object()


@dataclass(frozen=True)
class Mutation:
    """A value put at a path of the template (or taken away), and the invariant that must see it.

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
# As charts were before a metric had its stack's name.
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
    # As each was when alerts were lost: the first, a condition for EventBridge on a topic; the
    # second, a policy that replaces the default and allows nobody.
    Mutation(
        "every_rule_reaches_its_targets",
        "AlertTopicPolicy/PolicyDocument/Statement/1/Condition",
        {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["FailedTaskRule", "Arn"]}}},
    ),
    Mutation("every_alarm_reaches_whom_it_tells", "NoticeTopicPolicy/PolicyDocument/Statement/0"),
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
    Mutation("every_alarm_reaches_whom_it_tells", "AlertTopicPolicy/PolicyDocument/Statement/0"),
    Mutation("every_alarm_reaches_whom_it_tells", "AlertTopicPolicy/PolicyDocument/Statement/0/Condition/StringEquals/aws:SourceAccount", "1"),
    Mutation("every_alarm_reaches_whom_it_tells", "AlertTopicPolicy/Topics/0", {"Ref": "NoticeTopic"}),
    Mutation("every_alarm_reaches_whom_it_tells", "AlertTopicPolicy/PolicyDocument/Statement/2/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
    Mutation("every_alarm_reaches_whom_it_tells", "Key/KeyPolicy/Statement/2"),
    Mutation("every_alarm_reaches_whom_it_tells", "NoticeTopic/KmsMasterKeyId", "alias/aws/sns"),
    Mutation("every_alarm_reaches_whom_it_tells", "WorkerAlarm/AlarmActions/0", {"Ref": "UploadQueue"}),
    Mutation("every_alarm_reaches_a_person", "WorkerAlarm/AlarmActions"),
    Mutation("every_alarm_reaches_a_person", "Resources/AlertSubscription"),
    Mutation("every_alarm_reaches_a_person", "NoticeSubscription/Protocol", "sqs"),
    Mutation("every_alarm_reaches_a_person", "WorkerAlarm/ActionsEnabled", False),  # noqa: FBT003 - a property's value
    Mutation(
        "every_subscription_reaches_its_end",
        "Resources/AlertSubscription/Properties",
        {"TopicArn": {"Ref": "AlertTopic"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["UploadQueue", "Arn"]}},
    ),
    Mutation(
        "every_bucket_reaches_what_it_notifies",
        "InboxBucket/NotificationConfiguration/QueueConfigurations",
        [{"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["UploadQueue", "Arn"]}}],
    ),
    Mutation(
        "every_budget_reaches_whom_it_tells",
        "Budget/NotificationsWithSubscribers/0/Subscribers",
        [{"SubscriptionType": "SNS", "Address": {"Ref": "AlertTopic"}}],
        EXISTING,
    ),
    # As it was before; AWS publishes more.
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
    Mutation("who_is_given_a_topic_may_publish_to_it", "TaskAlertPolicy/PolicyDocument/Statement/0/Resource/1"),
    Mutation("who_is_given_a_topic_may_publish_to_it", "WatchdogRole/Policies/2/PolicyDocument/Statement/1"),
    Mutation("who_is_given_a_topic_may_publish_to_it", "Key/KeyPolicy/Statement/0"),
    Mutation("functions_may_read_the_queues_that_feed_them", "TriggerRole/Policies/0/PolicyDocument/Statement/0/Action/0"),
    Mutation("functions_may_read_the_queues_that_feed_them", f"Trigger/{SOURCE}/Queue", {"Fn::GetAtt": ["TaskStateQueue", "Arn"]}),
    Mutation("every_alarm_watches_what_is_written", "WatchdogRole/Policies/2/PolicyDocument/Statement/2/Resource", "arn:aws:logs:us-east-1:123456789012:log-group:/other:*"),
    Mutation("every_alarm_watches_what_is_written", f"{OPERATIONS_POLICY}/4/Condition/StringEquals/cloudwatch:namespace", "other"),
    Mutation("every_alarm_watches_what_is_written", "WorkerAlarm/Dimensions/1"),
    Mutation("every_alarm_watches_what_is_written", "UploadDeadLettersAlarm/Dimensions/0/Value", "uploads-dead"),
    Mutation("every_alarm_watches_what_is_written", "TriggerErrorsAlarm/MetricName", "Faults"),
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
    Mutation("concurrency_is_bounded", f"Trigger/{SOURCE}/ScalingConfig"),
    Mutation("the_trigger_runs_as_it_was_built", "Trigger/Handler", "handler.handler"),
    Mutation("the_trigger_runs_as_it_was_built", "Trigger/Runtime", "python3.9"),
    Mutation("the_trigger_runs_as_it_was_built", "Trigger/Architectures", ["x86_64"]),
    Mutation(
        "the_trigger_finds_its_settings", "Trigger/Environment/Variables/ECHODROP_RULES_PARAMETER"
    ),
    Mutation("only_the_conversion_s_own_container_is_asked_how_it_ended", "KilledTaskRule/EventPattern/detail/containers/name"),
    Mutation("only_the_conversion_s_own_container_is_asked_how_it_ended", "FailedTaskRule/EventPattern/detail/$or/0/containers/name"),
    Mutation("only_the_conversion_s_own_container_is_asked_how_it_ended", f"{CONTAINER}/Name", "conversion"),
    Mutation("the_rules_document_is_valid", RULES, "version = 2"),
    Mutation("the_rules_document_is_valid", "RulesDocument/Value/Fn::Sub/1/Output", {"Ref": "InboxBucket"}),
    Mutation("buckets_are_closed_to_the_public", "InboxBucket/PublicAccessBlockConfiguration"),
    Mutation(
        "buckets_are_closed_to_the_public",
        "OutputBucket/PublicAccessBlockConfiguration/RestrictPublicBuckets",
        False,  # noqa: FBT003 - a property's value
    ),
    Mutation("an_overwritten_upload_can_be_had_back", "InboxBucket/VersioningConfiguration"),
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
    Mutation("output_never_is_input", "Rules/InputIsNotOutput"),
    Mutation("output_never_is_input", "OutputBucket/BucketName", {"Fn::Sub": "${AWS::StackName}-inbox-${AWS::AccountId}"}),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/2"),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/1/Prefix", ".echodrop/"),
    Mutation("every_upload_is_told_of", "InboxBucket/NotificationConfiguration"),
    Mutation("every_upload_is_told_of", "UploadRule/EventPattern/detail/object", {"key": [{"suffix": ".raw"}]}),
    # A mark in the inbox must not bring the file in again.
    Mutation("every_upload_is_told_of", "UploadRule/EventPattern/detail-type/1", "Object Tags Added"),
    Mutation("every_upload_is_told_of", "UploadArchive/EventPattern/detail-type", ["Object Deleted"]),
    # What a restored object is told by.
    Mutation("every_upload_is_told_of", "UploadRule/EventPattern/detail-type/1"),
    Mutation("every_upload_is_told_of", "UploadArchive/EventPattern/detail-type/1"),
    Mutation("a_restored_object_of_an_archive_is_told_of", "ArchiveRestoreRule/EventPattern/resources", ["arn:aws:s3:::survey-archive"], EXISTING),
    Mutation("a_restored_object_of_an_archive_is_told_of", "ArchiveRestoreRule/EventPattern/detail-type/0", "Object Created", EXISTING),
    Mutation("every_rule_reaches_its_targets", "UploadQueuePolicy/PolicyDocument/Statement/0/Condition/ArnEquals/aws:SourceArn/2", GONE, EXISTING),
    Mutation("made_buckets_are_encrypted_with_the_key_that_is_given", "InboxBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/ServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"}, MADE | {"InboxKeyArn": EXISTING["InboxKeyArn"]}),
    Mutation("made_buckets_are_encrypted_with_the_key_that_is_given", "OutputBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/BucketKeyEnabled", GONE, MADE | {"OutputKeyArn": EXISTING["OutputKeyArn"]}),
    Mutation("keys_of_buckets_serve_who_reads_or_writes_there", "Resources/InboxKeyPolicy", GONE, EXISTING),
    Mutation("keys_of_buckets_serve_who_reads_or_writes_there", "ArchiveKeyPolicy/Roles/2", GONE, EXISTING),
    Mutation("keys_of_buckets_serve_who_reads_or_writes_there", "OutputKeyPolicy/Roles/2", {"Ref": "TriggerRole"}, EXISTING),
    Mutation("keys_of_buckets_serve_who_reads_or_writes_there", "OutputKeyPolicy/PolicyDocument/Statement/0/Action/1", GONE, EXISTING),
    Mutation("keys_of_buckets_serve_who_reads_or_writes_there", "InboxKeyPolicy/PolicyDocument/Statement/0/Condition", GONE, EXISTING),
    Mutation(
        "keys_of_buckets_serve_who_reads_or_writes_there",
        "ArchiveKeyPolicy/PolicyDocument/Statement/0/Condition",
        {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        EXISTING,
    ),
    Mutation("the_trigger_reads_inbox_and_archive_alone", "TriggerArchivePolicy/PolicyDocument/Statement/0/Resource", "arn:aws:s3:::survey-archive/*", EXISTING),
    Mutation("own_subnets_have_room_for_every_task", "SubnetA/CidrBlock", "10.72.0.0/20"),
    Mutation("own_subnets_have_room_for_every_task", "SubnetB/CidrBlock", "10.71.16.0/25"),
    Mutation("own_subnets_have_room_for_every_task", "SubnetB/CidrBlock", "10.71.0.0/20"),
    Mutation("everything_is_encrypted_at_rest", "UploadQueue/SqsManagedSseEnabled"),
    Mutation("everything_is_encrypted_at_rest", "AlertTopic/KmsMasterKeyId"),
    Mutation("everything_is_encrypted_at_rest", "ConversionLogs/KmsKeyId"),
    Mutation("everything_is_encrypted_at_rest", "OutputBucket/BucketEncryption"),
    Mutation("everything_is_encrypted_at_rest", "Key/EnableKeyRotation"),
    Mutation("only_tls_is_answered", "InboxBucketPolicy/PolicyDocument/Statement/0"),
    Mutation("only_tls_is_answered", "UploadQueuePolicy/PolicyDocument/Statement/1/Resource/1"),
    Mutation("only_tls_is_answered", "AlertTopicPolicy/PolicyDocument/Statement/2"),
    Mutation("only_tls_is_answered", "OutputBucketPolicy/PolicyDocument/Statement/0/Resource/1"),
    Mutation(
        "nothing_may_come_in",
        "OutboundOnly/SecurityGroupIngress",
        [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}],
    ),
    Mutation("nothing_may_come_in", "OutboundOnly/SecurityGroupEgress"),
    Mutation("nothing_may_come_in", "SubnetA/MapPublicIpOnLaunch"),
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
    Mutation("nobody_unnamed_is_let_in", "UploadQueuePolicy/PolicyDocument/Statement/0/Principal", "*"),
    Mutation("nobody_unnamed_is_let_in", "TaskRole/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "*"}),
    Mutation("services_act_for_this_account_alone", "TaskRole/AssumeRolePolicyDocument/Statement/0/Condition"),
    Mutation("services_act_for_this_account_alone", "AlertTopicPolicy/PolicyDocument/Statement/0/Condition"),
    Mutation("services_act_for_this_account_alone", "Key/KeyPolicy/Statement/2/Condition"),
    Mutation("roles_are_passed_to_tasks_alone", f"{WORKER_POLICY}/4/Condition"),
    Mutation("roles_are_passed_to_tasks_alone", f"{WORKER_POLICY}/4/Resource", "arn:aws:iam::123456789012:role/*"),
    Mutation("roles_are_passed_to_tasks_alone", f"{WORKER_POLICY}/4/Resource/2", {"Fn::GetAtt": ["WorkerRole", "Arn"]}),
    Mutation("roles_are_passed_to_tasks_alone", f"{TASK_POLICY}/2", allow("iam:PassRole", {"Fn::GetAtt": ["TaskRole", "Arn"]})),
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
    Mutation("the_worker_runs_these_families_on_this_cluster_alone", f"{WORKER_POLICY}/0/Condition"),
    Mutation(
        "the_worker_runs_these_families_on_this_cluster_alone",
        f"{WORKER_POLICY}/0/Resource",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/*",
    ),
    Mutation(
        "the_worker_runs_these_families_on_this_cluster_alone",
        f"{WORKER_POLICY}/1/Resource",
        "arn:aws:ecs:us-east-1:123456789012:task/*",
    ),
    Mutation("the_worker_runs_these_families_on_this_cluster_alone", f"{WORKER_POLICY}/5", allow("ecs:RegisterTaskDefinition")),
    Mutation("the_worker_runs_these_families_on_this_cluster_alone", f"{OPERATIONS_POLICY}/2/Condition"),
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
    Mutation("each_role_gets_its_own_credential_alone", f"{CONTAINER}/Secrets"),
    Mutation("a_stopped_task_hands_its_run_back", f"{CONTAINER}/Environment/4/Value", "crash"),
    Mutation("a_stopped_task_hands_its_run_back", f"{CONTAINER}/LinuxParameters"),
    Mutation("each_role_gets_its_own_credential_alone", f"{WORKER}/Secrets/Fn::If/1/0/Name", "PREFECT_API_KEY", EXISTING),
    Mutation("each_role_gets_its_own_credential_alone", "TriggerSecretPolicy/RoleName", {"Ref": "TaskRole"}),
    Mutation("containers_are_confined", f"{CONTAINER}/ReadonlyRootFilesystem"),
    Mutation("containers_are_confined", f"{CONTAINER}/Image", "echodrop:latest"),
    Mutation("containers_are_confined", f"{CONTAINER}/LinuxParameters/Capabilities"),
    Mutation("containers_are_confined", f"{OPERATIONS}/LinuxParameters/Capabilities/Drop/0", "NET_RAW"),
    Mutation("containers_are_confined", f"{WORKER}/LinuxParameters/Capabilities/Add", ["SYS_PTRACE"]),
    Mutation("containers_are_confined", f"{CONTAINER}/Memory", 2048),
    Mutation("containers_are_confined", "ConversionTask/NetworkMode", "bridge"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", f"{WORKER}/Environment/1"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/clusterArn", ["arn:of:another"]),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/clusterArn"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/lastStatus"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/group"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/group/1"),
    Mutation("the_worker_learns_how_tasks_end_and_nothing_else", "TaskStateRule/EventPattern/detail/stopCode", ["EssentialContainerExited"]),
    Mutation("the_worker_outlives_a_bad_deployment", "WorkerService/DeploymentConfiguration/DeploymentCircuitBreaker"),
    Mutation("the_worker_outlives_a_bad_deployment", "WorkerService/DeploymentConfiguration/MinimumHealthyPercent", 0),
    Mutation("the_worker_outlives_a_bad_deployment", "Parameters/WorkerCount/Default", 0),
    Mutation("the_worker_outlives_a_bad_deployment", f"{WORKER}/HealthCheck"),
    Mutation("the_worker_s_first_task_finds_its_way_and_its_secret", "Resources/WorkerService/Metadata/After/0/Fn::If/1/1"),
    Mutation("the_worker_s_first_task_finds_its_way_and_its_secret", "Resources/WorkerService/Metadata/After/1", GONE, EXISTING),
    Mutation("the_worker_waits_while_there_is_no_room", f"{WORKER}/Environment/4"),
    Mutation("the_worker_waits_while_there_is_no_room", f"{WORKER}/Environment/5/Value", "60"),
    Mutation("logs_are_kept_for_a_time", "TriggerLogs/RetentionInDays"),
    Mutation("logs_are_kept_for_a_time", "Trigger/LoggingConfig"),
    Mutation("logs_are_kept_for_a_time", f"{CONTAINER}/LogConfiguration/Options/awslogs-group", "prefect"),
    Mutation("every_alarm_says_when_it_is_over", "UploadsWaitAlarm/OKActions"),
    Mutation("every_alarm_says_when_it_is_over", "TriggerErrorsAlarm/TreatMissingData"),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", f"{CONTAINER}/Environment/1"),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", f"{CONTAINER}/Environment/2/Value", {"Ref": "AlertTopic"}),
    Mutation(
        "a_bad_file_wakes_nobody_unless_asked_to",
        f"{CONTAINER}/Environment/2/Value",
        {"Ref": "NoticeTopic"},
        MADE | {"BadFilesPage": "yes"},
    ),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", f"{CONTAINER}/Environment/3"),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", "UploadsRejectedAlarm/AlarmActions/0", {"Ref": "AlertTopic"}),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", "UploadsLackSettingsAlarm/OKActions/0", {"Ref": "NoticeTopic"}, EXISTING),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", "RunsFailedAlarm/AlarmActions/0", {"Ref": "NoticeTopic"}),
    Mutation("nobody_recovers_by_falling_silent", "RunsLateAlarm/TreatMissingData", "notBreaching"),
    Mutation("nobody_recovers_by_falling_silent", "NeverNotifiedAlarm/TreatMissingData", "notBreaching"),
    Mutation("silence_is_a_fault_where_something_must_speak", "ReconcileSilentAlarm/TreatMissingData", "ignore"),
    Mutation("every_alarm_watches_what_is_written", "ReconcileSilentAlarm/MetricName", "Compared"),
    Mutation("a_bad_file_wakes_nobody_unless_asked_to", "Resources/NoticeSubscription"),
    Mutation("silence_is_a_fault_where_something_must_speak", "WorkerAlarm/TreatMissingData", "notBreaching"),
    Mutation("every_dead_letter_raises_an_alarm", "UploadDeadLettersAlarm/Threshold", 100),
    Mutation("every_dead_letter_raises_an_alarm", "TaskStateDeadLettersAlarm/MetricName", "NumberOfMessagesSent"),
    Mutation("every_alarm_watches_what_is_written", "UploadsRejectedAlarm/MetricName", "UploadsRefused"),
    Mutation("every_alarm_watches_what_is_written", "UploadsLackSettingsAlarm/Namespace", "EchoDrop"),
    Mutation("no_alarm_leans_on_an_age_that_leaves_messages_out", "UploadsNotTakenAlarm/MetricName", "ApproximateAgeOfOldestMessage"),
    Mutation("no_alarm_leans_on_an_age_that_leaves_messages_out", "TaskStatesWaitAlarm/MetricName", "ApproximateAgeOfOldestMessage"),
    Mutation(
        "no_alarm_leans_on_an_age_that_leaves_messages_out",
        "TaskStatesWaitAlarm/Metrics",
        [{"Id": "age", "MetricStat": {"Metric": {
            "Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["TaskStateQueue", "QueueName"]}}],
        }}}],
    ),
    Mutation("a_queue_that_nobody_reads_is_told_of", "UploadsNotTakenAlarm/Statistic", "Maximum"),
    Mutation("a_queue_that_nobody_reads_is_told_of", "UploadsNotTakenAlarm/EvaluationPeriods", 60),
    Mutation("a_queue_that_nobody_reads_is_told_of", "TaskStatesWaitAlarm/Dimensions/0/Value", {"Fn::GetAtt": ["UploadQueue", "QueueName"]}),
    Mutation("the_dashboard_shows_every_alarm", "Dashboard/DashboardBody", '{"widgets": []}'),
    Mutation("every_alarm_watches_what_is_written", "RunsLateAlarm/MetricName", "LateFlows"),
    Mutation("every_alarm_watches_what_is_written", "UploadsRejectedAlarm/Dimensions/2"),
    Mutation(
        "every_alarm_watches_what_is_written",
        "RunsFailedAlarm/Dimensions/2",
        {"Name": "outcome", "Value": "Failed"},
    ),
    Mutation("our_own_metrics_are_of_this_stack_alone", "RunsFailedAlarm/Dimensions/0"),
    Mutation("our_own_metrics_are_of_this_stack_alone", "RunsFailedAlarm/Dimensions/0/Value", "another"),
    Mutation("our_own_metrics_are_of_this_stack_alone", "Dashboard/DashboardBody", SHARED_CHART),
    Mutation("the_trigger_finds_its_settings", "Trigger/Environment/Variables/ECHODROP_STACK"),
    Mutation("the_watchdog_looks_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_STACK"),
    Mutation("silence_is_a_fault_where_something_must_speak", "PrefectAlarm/TreatMissingData", "notBreaching"),
    Mutation("the_dashboard_shows_every_alarms_metric", "RunsStuckAlarm/Dimensions/1/Value", "trigger"),
    Mutation("the_watchdog_looks_every_five_minutes", "WatchRule/ScheduleExpression", "rate(1 hour)"),
    Mutation("the_watchdog_looks_every_five_minutes", "WatchRule/Targets/0/Arn", {"Fn::GetAtt": ["Trigger", "Arn"]}),
    Mutation("the_watchdog_looks_every_five_minutes", "WatchPermission/SourceArn", {"Fn::GetAtt": ["UploadRule", "Arn"]}),
    Mutation("the_watchdog_looks_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_WORK_POOL"),
    Mutation("the_watchdog_looks_every_five_minutes", "Watchdog/Environment/Variables/ECHODROP_LOOK_BACK_SECONDS", "600"),
    Mutation("the_watchdog_looks_every_five_minutes", "Watchdog/Handler", "handler.handler"),
    Mutation("the_watchdog_changes_nothing_but_incidents_and_the_brake_s_note", "WatchdogRole/Policies/0/PolicyDocument/Statement/0/Action", "sqs:PurgeQueue"),
    Mutation(
        "the_watchdog_changes_nothing_but_incidents_and_the_brake_s_note",
        "WatchdogRole/Policies/0/PolicyDocument/Statement/1/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/*",
    ),
    Mutation("a_look_at_everything_that_is_overdue_is_told", "WholeLookOldAlarm/Threshold", 2592000),
    Mutation("a_look_at_everything_that_is_overdue_is_told", "WholeLookOldAlarm/Threshold", 86400),
    Mutation("a_look_at_everything_that_is_overdue_is_told", "WholeLookOldAlarm/TreatMissingData", "notBreaching"),
    Mutation("what_looks_remember_outlives_the_time_between_them", "OutputBucket/LifecycleConfiguration/Rules/2/ExpirationInDays", 7),
    Mutation("notes_expire", "OutputBucket/LifecycleConfiguration/Rules/3/ExpirationInDays", 0),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/1"),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/4/Value", "s3://elsewhere/"),
    Mutation("the_reconciliation_finds_its_settings", "OperationsTask/Family", "operations"),
    Mutation("the_reconciliation_finds_its_settings", f"{OPERATIONS}/Environment/3"),
    Mutation("the_reconciliation_writes_its_report_alone", "OperationsRole/Policies/0/PolicyDocument/Statement/0/Action/0", "s3:DeleteObject"),
    Mutation(
        "the_reconciliation_writes_its_report_alone",
        "OperationsRole/Policies/1/PolicyDocument/Statement/2/Resource/Fn::Sub/0",
        "arn:${AWS::Partition}:s3:::${Bucket}/${OutputPrefix}*",
    ),
    Mutation("outputs_are_listed_below_their_prefix_alone", "TaskRole/Policies/1/PolicyDocument/Statement/1/Condition"),
    Mutation("outputs_are_listed_below_their_prefix_alone", "OperationsRole/Policies/1/PolicyDocument/Statement/1/Condition", GONE, EXISTING),
    Mutation("outputs_are_listed_below_their_prefix_alone", "WatchdogRole/Policies/0/PolicyDocument/Statement/2/Condition"),
    # Prefect's own five retries, as it was.
    Mutation("tasks_and_worker_outlast_a_429", f"{WORKER}/Environment/7"),
    Mutation("tasks_and_worker_outlast_a_429", f"{CONTAINER}/Environment/5/Value", "5"),
    Mutation("tasks_and_worker_outlast_a_429", f"{WORKER}/Environment/7/Value", "10"),
    Mutation("the_watchdog_outlasts_a_minute_of_429", "Watchdog/Timeout", 60),
    Mutation("the_watchdog_outlasts_a_minute_of_429", "Watchdog/Timeout", 300),
    Mutation("the_reconciliation_keeps_to_a_rate", f"{OPERATIONS}/Environment/6"),
    # What came later is held to the same.
    Mutation("every_rule_target_has_dead_letters", "KilledTaskRule/Targets/0/DeadLetterConfig"),
    Mutation("every_rule_target_has_dead_letters", "WatchRule/Targets/0/DeadLetterConfig"),
    Mutation("everything_is_encrypted_at_rest", "NoticeTopic/KmsMasterKeyId"),
    Mutation("everything_is_encrypted_at_rest", "WatchdogLogs/KmsKeyId"),
    Mutation("only_tls_is_answered", "NoticeTopicPolicy/PolicyDocument/Statement/1"),
    Mutation("logs_are_kept_for_a_time", "WatchdogLogs/RetentionInDays"),
    Mutation("logs_are_kept_for_a_time", "Watchdog/LoggingConfig"),
    Mutation("logs_are_kept_for_a_time", f"{OPERATIONS}/LogConfiguration/Options/awslogs-group", "prefect"),
    Mutation("containers_are_confined", f"{OPERATIONS}/ReadonlyRootFilesystem"),
    Mutation("each_role_gets_its_own_credential_alone", f"{OPERATIONS}/Secrets"),
    Mutation("each_role_gets_its_own_credential_alone", "WatchdogSecretPolicy/RoleName", {"Ref": "TaskRole"}),
    # As it was: one role of ECS and one secret for tasks and worker alike.
    Mutation("each_role_gets_its_own_credential_alone", "WorkerTask/ExecutionRoleArn", {"Fn::GetAtt": ["ExecutionRole", "Arn"]}, OWN_CREDENTIALS),
    Mutation("each_role_gets_its_own_credential_alone", "WorkerExecutionSecretPolicy/RoleName", {"Ref": "ExecutionRole"}),
    Mutation("each_role_gets_its_own_credential_alone", "TriggerSecretPolicy/PolicyDocument/Statement/0/Resource", {"Ref": "TaskSecretArn"}, OWN_CREDENTIALS),
    Mutation(
        "each_role_gets_its_own_credential_alone",
        "WatchdogSecretPolicy/PolicyDocument/Statement/0/Resource",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:*",
    ),
    Mutation("each_role_gets_its_own_credential_alone", "Watchdog/Environment/Variables/PREFECT_AUTH_SECRET_ARN", {"Ref": "TriggerSecretArn"}, OWN_CREDENTIALS),
    Mutation("each_role_gets_its_own_credential_alone", "Outputs/PrefectSecretName/Value", {"Ref": "WorkerSecretArn"}, OWN_CREDENTIALS),
    Mutation("no_secret_is_made_that_nobody_reads", "Resources/PrefectSecret/Condition", "HasSecret", OWN_CREDENTIALS),
    Mutation("services_act_for_this_account_alone", "Key/KeyPolicy/Statement/2/Condition"),
    Mutation(
        "no_managed_policy_but_for_a_function_in_a_vpc",
        "TaskRole/ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/AmazonS3FullAccess"],
    ),
    Mutation(
        "no_managed_policy_but_for_a_function_in_a_vpc",
        "WatchdogRole/ManagedPolicyArns/Fn::If/1/0",
        {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"},
        EXISTING,
    ),
    Mutation("services_act_for_this_account_alone", "OperationsRole/AssumeRolePolicyDocument/Statement/0/Condition"),
    Mutation("every_grant_names_its_resources", "TriggerArchivePolicy/PolicyDocument/Statement/0/Resource", "*", EXISTING),
    Mutation("every_parameter_is_described_and_bounded", "Parameters/AlertEmail/Description"),
    Mutation("every_parameter_is_described_and_bounded", "Parameters/AlertEmail/AllowedPattern"),
    Mutation("every_parameter_is_described_and_bounded", "Parameters/ArchiveDays/MaxValue"),
    Mutation(
        "tasks_read_inbox_and_archive_and_write_below_the_output_prefix",
        "TaskArchivePolicy/PolicyDocument/Statement/0/Action/0", "s3:PutObject", EXISTING,
    ),
    Mutation(
        "the_trigger_learns_of_tasks_killed_for_their_memory",
        "KilledTaskRule/EventPattern/detail/group",
    ),
    Mutation(
        "the_trigger_reads_inbox_and_archive_alone",
        "TriggerArchivePolicy/PolicyDocument/Statement/0/Action/0", "s3:DeleteObject", EXISTING,
    ),
    # The defaults of before.
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/LiveConcurrency/Default", 100),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/BackfillConcurrency/Default", 20),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/BackfillConcurrency/Default", 2),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "Parameters/WorkerCount/Default", 2),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "WorkerTask/Cpu", 1024),
    Mutation("the_defaults_fit_the_quota_of_a_new_account", "OperationsTask/Cpu", 2048),
    # No budget unless asked for, as before.
    Mutation("cost_is_bounded_unless_somebody_says_otherwise", "Parameters/MonthlyBudgetUsd/Default", 0),
    Mutation("cost_is_bounded_unless_somebody_says_otherwise", "Parameters/BrakeRunsAnHour/Default", 0),
    Mutation("cost_is_bounded_unless_somebody_says_otherwise", "Parameters/BrakeRunsAnHour/Default", 100),
    Mutation("cost_is_bounded_unless_somebody_says_otherwise", "Parameters/BrakeBudgetPercent/Default", 0),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BRAKE_RUNS_AN_HOUR"),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BUDGET_ARN"),
    Mutation("the_brake_finds_its_settings", "Watchdog/Environment/Variables/ECHODROP_BRAKE_NOTE/Fn::Sub/0", "s3://${Bucket}/brake/"),
    Mutation("the_brake_finds_its_settings", "Budget/Budget/BudgetName", "another"),
    Mutation("the_budget_counts_what_the_stack_is_tagged_with", "Budget/Budget/CostFilters/TagKeyValue/0", "user:project$echodrop"),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/0"),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/1/Condition", {"StringLike": {"s3:prefix": "incidents/*"}}),
    Mutation("the_watchdog_may_pull_the_brake", "WatchdogRole/Policies/1/PolicyDocument/Statement/2"),
    # EC2 refused the apostrophe: no stack with another port than 443 could be made.
    Mutation(
        "names_and_descriptions_are_what_their_service_takes",
        "OutboundOnly/SecurityGroupEgress/1/Fn::If/1/Description", "Prefect's API on its own port", EXISTING,
    ),
    Mutation("names_and_descriptions_are_what_their_service_takes", "OutboundOnly/GroupDescription", "x" * 256),
    Mutation("names_and_descriptions_are_what_their_service_takes", "TaskRole/Description", "Reads \N{EM DASH} and writes"),
    Mutation("names_and_descriptions_are_what_their_service_takes", "Trigger/Description", "x" * 257),
    Mutation("names_and_descriptions_are_what_their_service_takes", "WorkerAlarm/AlarmDescription", "x" * 1025),
    Mutation("names_and_descriptions_are_what_their_service_takes", "UploadRule/Targets/0/Id", "the uploads"),
    Mutation("names_and_descriptions_are_what_their_service_takes", "TaskStateQueue/QueueName", "task.states"),
    Mutation("names_and_descriptions_are_what_their_service_takes", "AlertTopicPolicy/PolicyDocument/Statement/0/Sid", "of-this-account"),
    Mutation("names_and_descriptions_are_what_their_service_takes", "PrefectSecret/Name", "prefect-secret"),
    # Taken with a short name of the stack alone.
    Mutation(
        "names_and_descriptions_are_what_their_service_takes",
        "UploadRule/Name", {"Fn::Sub": "${AWS::StackName}-uploads-to-the-inbox-bucket"}, MADE, AwsAccount(LONGEST_NAME),
    ),
    Mutation(
        "names_and_descriptions_are_what_their_service_takes",
        "OutputBucket/BucketName", {"Fn::Sub": "${AWS::StackName}-converted-files-${AWS::AccountId}"}, MADE, AwsAccount(LONGEST_NAME),
    ),
    # A type whose texts nobody has read up.
    Mutation(
        "names_and_descriptions_are_what_their_service_takes",
        "Resources/Schedule", {"Type": "AWS::Scheduler::Schedule", "Properties": {"Name": "watch"}},
    ),
    Mutation("descriptions_of_the_template_are_what_cloudformation_takes", "Parameters/AlertEmail/Description", "x" * 4001),
    Mutation("descriptions_of_the_template_are_what_cloudformation_takes", "Outputs/Inbox/Description", "x" * 1025),
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
        "every_service_is_offered_where_the_stack_is",
        "Resources/Budget/Condition", "HasBoundary", EXISTING, GOVCLOUD,
    ),
    Mutation("every_role_is_bounded_where_a_boundary_is_asked_for", "WatchdogRole/PermissionsBoundary", GONE, EXISTING),
    Mutation(
        "every_role_is_bounded_where_a_boundary_is_asked_for",
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
