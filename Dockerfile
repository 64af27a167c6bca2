# All images of this project. compose.yaml builds them by target; `docker build --target gateway .` builds one.
#
#   base                                       Python, the same in every stage: virtual environments are copied
#   builder                                    pip, in no image that runs
#   build-tools                                the build backend, a C compiler, Node.js
#   console                                    the web console, from web/
#   wheels                                     the project's packages
#   gateway|thumbnailer|tracker|cli-packages   a program's locked dependencies, then its wheels
#   runtime                                    base without pip, with an account that owns nothing
#   gateway, thumbnailer, status-tracker       the services
#   cli                                        the operators' program
#   setup                                      the one-shot programs of infra/

ARG PYTHON_IMAGE=python:3.13-slim-bookworm
# Labels of the images. REVISION is the commit: docker build --build-arg REVISION="$(git rev-parse HEAD)" .
ARG VERSION=0.2.0
ARG REVISION=unknown

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1


FROM base AS builder
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /app/.venv


FROM builder AS build-tools
COPY requirements/build.txt requirements/
RUN pip install --require-hashes --requirement requirements/build.txt


# The same command as `make web`: Node.js is a Python package, and the types of requests come from the API's description.
FROM build-tools AS console
COPY devstack devstack
COPY docs/reference/openapi.json docs/reference/
COPY web web
RUN python -m devstack web


FROM build-tools AS wheels
COPY core core
COPY gateway gateway
COPY --from=console /build/gateway/src/thumbmill/gateway/web gateway/src/thumbmill/gateway/web
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


# The standard library is compiled here: the file system of a container is read-only, so each start and each health
# check would compile its imports again. ensurepip contains another copy of pip.
FROM base AS runtime
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -r "$(python -c 'import os, ensurepip; print(os.path.dirname(ensurepip.__file__))')" \
    && python -m compileall -q -x 'test|idlelib|site-packages' "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
    && useradd --system --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin thumbmill
USER 10001:10001
WORKDIR /app
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.vendor="The Thumbmill authors"


FROM runtime AS gateway
LABEL org.opencontainers.image.title="Thumbmill gateway" \
      org.opencontainers.image.description="HTTP API: uploads, presigned forms, image status, variants"
COPY --from=gateway-packages /app/.venv /app/.venv
EXPOSE 8000
ENTRYPOINT ["gateway"]


FROM runtime AS thumbnailer
LABEL org.opencontainers.image.title="Thumbmill thumbnailer" \
      org.opencontainers.image.description="Worker: makes variants of the originals in the bucket"
COPY --from=thumbnailer-packages /app/.venv /app/.venv
EXPOSE 8001
ENTRYPOINT ["thumbnailer"]


FROM runtime AS status-tracker
LABEL org.opencontainers.image.title="Thumbmill status tracker" \
      org.opencontainers.image.description="Projection: events in, image status and timeline in Postgres out"
COPY --from=tracker-packages /app/.venv /app/.venv
EXPOSE 8002
ENTRYPOINT ["status-tracker"]
CMD ["run"]


FROM runtime AS cli
LABEL org.opencontainers.image.title="Thumbmill CLI" \
      org.opencontainers.image.description="Command line for operators: dead letters, retries, reconciliation"
COPY --from=cli-packages /app/.venv /app/.venv
ENTRYPOINT ["thumbmill"]


# The tracker's environment has what these programs import. A volume at /definitions takes the directory's owner.
FROM runtime AS setup
LABEL org.opencontainers.image.title="Thumbmill setup" \
      org.opencontainers.image.description="One-shot programs that set up MinIO and RabbitMQ"
COPY --from=tracker-packages /app/.venv /app/.venv
COPY --chown=10001:10001 infra/minio/provision.py infra/minio/
COPY --chown=10001:10001 infra/minio/policies infra/minio/policies
COPY --chown=10001:10001 infra/rabbitmq/users.py infra/rabbitmq/restore.py infra/rabbitmq/definitions.json infra/rabbitmq/
USER root
RUN install --directory --owner 10001 /definitions
USER 10001:10001
ENTRYPOINT ["python"]
