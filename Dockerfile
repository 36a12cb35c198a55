# Two images of one file: `task` converts, `worker` starts tasks. `make images` builds both.
# The digest is one image for ever, whatever its tag is next: `make lock` writes the newest.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8

# checkov:skip=CKV_DOCKER_7:The tag is in PYTHON_IMAGE, which checkov does not look into
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/echodrop

# Wheels alone, each by its hash: nothing is built, nothing is resolved, nothing else comes along.
FROM packages AS task-packages
COPY image/task.txt /build/requirements.txt
RUN pip --python /opt/echodrop install --require-hashes --no-deps --only-binary=:all: \
      --no-compile --requirement /build/requirements.txt \
 && /opt/echodrop/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/echodrop/lib
COPY flows /app/flows
COPY sonar_models.py /app/sonar_models.py
COPY task_sizes.py /app/task_sizes.py
# The scheduled reconciliation, which decides as the trigger does.
COPY operations /app/operations
COPY events /app/events
COPY lambda_trigger /app/lambda_trigger
# Its way to Prefect's API is the operations' too.
COPY watchdog /app/watchdog
COPY pyproject.toml /build/pyproject.toml
COPY image/write_metadata.py /build/write_metadata.py
RUN python /build/write_metadata.py /build/pyproject.toml /app \
 && /opt/echodrop/bin/python -m compileall -q --invalidation-mode unchecked-hash /app

FROM packages AS worker-packages
COPY image/worker.txt /build/requirements.txt
RUN pip --python /opt/echodrop install --require-hashes --no-deps --only-binary=:all: \
      --no-compile --requirement /build/requirements.txt \
 && /opt/echodrop/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/echodrop/lib

FROM ${PYTHON_IMAGE} AS runtime
# ECS runs tasks on a read-only root: all that is written goes to /scratch, whose owner a volume
# mounted there takes over because VOLUME is declared after it was made.
RUN useradd --system --uid 10001 --home-dir /scratch --shell /usr/sbin/nologin echodrop \
 && install --directory --owner echodrop --group echodrop --mode 0700 /scratch
VOLUME /scratch
ENV PATH=/opt/echodrop/bin:$PATH \
    PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/scratch TMPDIR=/scratch PREFECT_HOME=/scratch/prefect \
    PREFECT_LOGGING_EXTRA_LOGGERS=flows \
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=false PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
WORKDIR /app
USER 10001:10001

FROM runtime AS worker
COPY --from=worker-packages /opt/echodrop /opt/echodrop
# checkov:skip=CKV_DOCKER_2:The worker's task definition carries the health check, tasks end by themselves
CMD ["prefect", "worker", "start", "--type", "ecs", "--pool", "echodrop"]

FROM runtime AS task
COPY --from=task-packages /opt/echodrop /opt/echodrop
COPY --from=task-packages /app /app
CMD ["python", "-m", "flows.runs.execute_run"]
