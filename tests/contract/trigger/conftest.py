"""The built trigger under the real runtime client, with moto for AWS and a real Prefect server."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_lambda_powertools
import boto3
import pytest
from moto.server import ThreadedMotoServer
from prefect.utilities.callables import parameter_schema

from flows.convert_raw_sonar import convert_raw_sonar
from tests.contract.conftest import ApiCall
from tests.contract.runtime_api import Answer, RuntimeApi, runtime_packages, start_function
from tests.event_fixtures import Fixture

REGION = "eu-west-1"
ROOT = Path(__file__).resolve().parents[3]
CREDENTIALS: dict[str, Any] = {
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "region_name": REGION,
}


def build_artifact(folder: Path, runtime_python: str) -> Path:
    """Build the trigger into a folder from the packages that are installed here, without a download."""
    build = ["make", "--silent", "-C", str(ROOT / "lambda_trigger"), "build-Trigger"]
    packages = Path(aws_lambda_powertools.__file__).parents[1]
    variables = [f"RUNTIME_PYTHON={runtime_python}", f"PACKAGES={packages}"]
    subprocess.run([*build, *variables, f"ARTIFACTS_DIR={folder}"], check=True)
    return folder


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the package that `sam build` makes: it runs this target."""
    return build_artifact(tmp_path_factory.mktemp("artifact"), sys.executable)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runtime_packages(tmp_path_factory.mktemp("runtime") / "packages")


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def deployment(prefect_api: ApiCall) -> str:
    """The deployment, with the parameter schema of the real flow."""
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar"})
    prefect_api("POST", "/work_pools/", {"name": "echodrop", "type": "process"})
    schema = parameter_schema(convert_raw_sonar).model_dump()
    prefect_api(
        "POST",
        "/deployments/",
        {
            "name": "ecs",
            "flow_id": flow["id"],
            "work_pool_name": "echodrop",
            "parameter_openapi_schema": schema,
            "enforce_parameter_schema": True,
        },
    )
    return "convert-raw-sonar/ecs"


@dataclass
class Function:
    """A running trigger with its own buckets."""

    api: RuntimeApi
    log: Path
    inbox: str
    output: str
    s3: Any
    sqs: Any
    ssm: Any
    secrets: Any
    rules_parameter: str

    def send(self, *bodies: str, queue_arn: str = "arn:aws:sqs:eu-west-1:1:none") -> Answer:
        records = [
            {
                "messageId": f"message-{index}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSourceARN": queue_arn,
            }
            for index, body in enumerate(bodies)
        ]
        return self.api.invoke({"Records": records})

    def lines(self) -> list[dict[str, Any]]:
        """The lines about uploads that the function has written so far."""
        lines = []
        for text in self.log.read_text().splitlines():
            if text.startswith("{"):
                line = json.loads(text)
                if "outcome" in line:
                    lines.append(line)
        return lines

    def put(self, fixture: Fixture) -> None:
        for item in fixture.inbox:
            tags = "&".join(f"{name}={text}" for name, text in item.tags.items())
            self.s3.put_object(
                Bucket=self.inbox,
                Key=item.key,
                Body=item.body,
                Metadata=item.metadata,
                **({"Tagging": tags} if tags else {}),
                **({"StorageClass": "GLACIER"} if item.archived else {}),
            )


def _client(service: Any, aws_url: str) -> Any:
    return boto3.client(service, endpoint_url=aws_url, **CREDENTIALS)


def rules(inbox: str, output: str, deployment: str = "convert-raw-sonar/ecs") -> str:
    return f"""
version = 1
inbox_bucket = "{inbox}"
output_bucket = "{output}"
[size_limits]
pause_above = 100_000
reject_above = 200_000
[[prefix]]
prefix = ""
deployment = "{deployment}"
[[prefix]]
prefix = "not-for-us/"
ignore = true
"""


@pytest.fixture
def start_trigger(artifact: Path, packages: Path, aws_url: str, tmp_path: Path) -> Iterator[Any]:
    """Start a trigger: `start_trigger(prefect_url, rules=…, secret=…)`."""
    running: list[tuple[subprocess.Popen[bytes], RuntimeApi]] = []

    def start(prefect_url: str, *, secret: dict[str, str] | None = None) -> Function:
        unique = uuid.uuid4().hex[:12]
        clients: dict[str, Any] = {
            name: _client(name, aws_url) for name in ("s3", "sqs", "ssm", "secretsmanager")
        }
        inbox, output, parameter = (
            f"inbox-{unique}",
            f"output-{unique}",
            f"/echodrop/{unique}/rules",
        )
        clients["s3"].create_bucket(
            Bucket=inbox, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        clients["ssm"].put_parameter(Name=parameter, Type="String", Value=rules(inbox, output))
        environment = {
            "PREFECT_API_URL": prefect_url,
            "ECHODROP_RULES_PARAMETER": parameter,
            "ECHODROP_STACK": "echodrop",
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": "token",
        }
        if secret is not None:
            made = clients["secretsmanager"].create_secret(
                Name=unique, SecretString=json.dumps(secret)
            )
            environment["PREFECT_AUTH_SECRET_ARN"] = made["ARN"]
        api = RuntimeApi()
        api.__enter__()
        log = tmp_path / f"{unique}.log"
        with log.open("wb") as output_file:
            process = start_function(
                artifact,
                "lambda_trigger.handler.handler",
                api,
                environment=environment,
                packages=[packages],
                output=output_file,
            )
        running.append((process, api))
        api.wait_for_first_next(60)
        return Function(
            api,
            log,
            inbox,
            output,
            clients["s3"],
            clients["sqs"],
            clients["ssm"],
            clients["secretsmanager"],
            parameter,
        )

    yield start
    for process, api in running:
        process.kill()
        process.wait()
        api.__exit__()


@pytest.fixture
def trigger(start_trigger: Any, prefect_api_url: str, deployment: str) -> Function:
    function = start_trigger(prefect_api_url)
    assert isinstance(function, Function)
    return function
