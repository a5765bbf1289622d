# One image for every role: `docker run IMAGE role web`. compose.yml starts them all.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /venv
COPY requirements/flower.txt /requirements.txt
# Wheels only: nothing is compiled, here or later. flower.txt is base.txt and Flower.
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        -r /requirements.txt
WORKDIR /app
COPY . .
# The secrets that the embedded default makes for itself stay behind in this stage.
RUN DATA_DIR=/tmp/data STATIC_ROOT=/app/static /venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
    && /venv/bin/python -m compileall -q /app

FROM ${PYTHON_IMAGE} AS run
RUN groupadd --gid 10001 taskmanager \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin taskmanager \
    && install --directory --owner taskmanager --group taskmanager --mode 700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 PORT=8000 DATA_DIR=/data STATIC_ROOT=/app/static
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["python", "-m", "deploy.healthcheck"]
ENTRYPOINT ["python", "manage.py"]
CMD ["role", "web"]

# For compose.dev.yml: restarts a role when the mounted source changes.
FROM run AS dev
USER root
RUN --mount=type=bind,source=requirements/dev.txt,target=/dev.txt \
    pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /dev.txt
USER 10001:10001

FROM run
