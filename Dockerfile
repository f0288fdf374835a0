# Two stages: the first builds an environment with PMS and the pinned versions of constraints.txt, the second runs it.

FROM python:3.12-slim AS build

WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

COPY constraints.txt ./
RUN python -m venv /opt/pms \
    && /opt/pms/bin/python -m pip install --constraint constraints.txt pip setuptools wheel

COPY LICENSE README.md pyproject.toml setup.cfg ./
COPY pms pms
COPY workers workers
RUN /opt/pms/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/pms/bin/python -m pip install --constraint constraints.txt dist/*.whl \
    && /opt/pms/bin/python -m pip uninstall --yes pip setuptools wheel


FROM python:3.12-slim

# The numbers are fixed so that the owner of a mounted folder can be chosen to match.
RUN groupadd --gid 10001 pms \
    && useradd --uid 10001 --gid pms --no-create-home --home-dir /data --shell /usr/sbin/nologin pms \
    && install --directory --owner=pms --group=pms --mode=0750 /data \
    && install --directory --owner=pms --group=pms --mode=0700 /run/pms

COPY --from=build /opt/pms /opt/pms
COPY supervisord.conf /etc/pms/supervisord.conf

# Sockets do not belong on a volume: it may be a network share.
ENV PATH=/opt/pms/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PMS_DATA_DIR=/data \
    PMS_RUNTIME_DIR=/run/pms

USER pms
WORKDIR /data
VOLUME /data

HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["pms-coordinator", "status", "--json"]

# supervisord stops the coordinator within 20 s at the latest: give `docker stop` more than its 10 s.
STOPSIGNAL SIGTERM
CMD ["supervisord", "--configuration", "/etc/pms/supervisord.conf", "--pidfile", "/run/pms/supervisord.pid"]
