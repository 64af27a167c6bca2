# Every image of ours; compose.yaml builds them by target, `docker build --target gateway .` builds one alone.
#
#   base                                 Python, the same in every stage so that virtual environments can be copied
#   builder                              pip and the build backend, in no image that runs
#   wheels                               our packages
#   gateway|thumbnailer|tracker|cli-packages   a program's locked dependencies, then its wheels
#   runtime                              base without pip, with an account that owns nothing
#   gateway, thumbnailer, status-tracker what runs
#   cli                                  what operators start
#   setup                                the one-shot programs of infra/

ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1


FROM base AS builder
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /app/.venv


FROM builder AS wheels
COPY requirements/build.txt requirements/
RUN pip install --require-hashes --requirement requirements/build.txt
COPY core core
COPY gateway gateway
COPY thumbnailer thumbnailer
COPY status-tracker status-tracker
COPY cli cli
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels \
    ./core ./gateway ./thumbnailer ./status-tracker ./cli


FROM builder AS gateway-packages
COPY requirements/gateway.txt requirements/
RUN pip --python /app/.venv install --require-hashes --requirement requirements/gateway.txt
COPY --from=wheels /wheels/thumbmill_core-* /wheels/thumbmill_gateway-* /wheels/
RUN pip --python /app/.venv install --no-deps --no-index /wheels/*


FROM builder AS thumbnailer-packages
COPY requirements/thumbnailer.txt requirements/
RUN pip --python /app/.venv install --require-hashes --requirement requirements/thumbnailer.txt
COPY --from=wheels /wheels/thumbmill_core-* /wheels/thumbmill_thumbnailer-* /wheels/
RUN pip --python /app/.venv install --no-deps --no-index /wheels/*


FROM builder AS tracker-packages
COPY requirements/status-tracker.txt requirements/
RUN pip --python /app/.venv install --require-hashes --requirement requirements/status-tracker.txt
COPY --from=wheels /wheels/thumbmill_core-* /wheels/thumbmill_status_tracker-* /wheels/
RUN pip --python /app/.venv install --no-deps --no-index /wheels/*


FROM builder AS cli-packages
COPY requirements/cli.txt requirements/
RUN pip --python /app/.venv install --require-hashes --requirement requirements/cli.txt
COPY --from=wheels /wheels/thumbmill_core-* /wheels/thumbmill_cli-* /wheels/
RUN pip --python /app/.venv install --no-deps --no-index /wheels/*


# The standard library is compiled here: the file system is read-only later, and each start and each health check
# would compile again what it imports. Ensurepip holds another copy of pip.
FROM base AS runtime
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -r "$(python -c 'import os, ensurepip; print(os.path.dirname(ensurepip.__file__))')" \
    && python -m compileall -q -x 'test|idlelib|site-packages' "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
    && useradd --system --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin thumbmill
USER 10001:10001
WORKDIR /app


FROM runtime AS gateway
COPY --from=gateway-packages /app/.venv /app/.venv
EXPOSE 8000
ENTRYPOINT ["gateway"]


FROM runtime AS thumbnailer
COPY --from=thumbnailer-packages /app/.venv /app/.venv
EXPOSE 8001
ENTRYPOINT ["thumbnailer"]


FROM runtime AS status-tracker
COPY --from=tracker-packages /app/.venv /app/.venv
EXPOSE 8002
ENTRYPOINT ["status-tracker"]
CMD ["run"]


FROM runtime AS cli
COPY --from=cli-packages /app/.venv /app/.venv
ENTRYPOINT ["thumbmill"]


# The tracker's environment has what the programs import. A volume at /definitions takes its owner from the directory.
FROM runtime AS setup
COPY --from=tracker-packages /app/.venv /app/.venv
COPY --chown=10001:10001 infra/minio/provision.py infra/minio/
COPY --chown=10001:10001 infra/minio/policies infra/minio/policies
COPY --chown=10001:10001 infra/rabbitmq/users.py infra/rabbitmq/restore.py infra/rabbitmq/definitions.json infra/rabbitmq/
USER root
RUN install --directory --owner 10001 /definitions
USER 10001:10001
ENTRYPOINT ["python"]
