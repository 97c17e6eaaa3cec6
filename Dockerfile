# The tools that build the wheel stay in this stage.
FROM python:3.13-slim AS wheel
WORKDIR /source
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY notifier notifier
COPY sql sql
COPY templates templates
COPY examples examples
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.13-slim AS installed
RUN python -m venv /opt/notifier
COPY deploy/requirements.txt ./
RUN /opt/notifier/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY --from=wheel /wheels /wheels
RUN /opt/notifier/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /wheels/*.whl

FROM python:3.13-slim
# A named user, as the embedded PostgreSQL wants to know its name.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin notifier \
    && install -d -m 0700 -o notifier -g notifier /data
COPY --from=installed /opt/notifier /opt/notifier
ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NOTIFIER_HOST=0.0.0.0 \
    NOTIFIER_PORT=8080 \
    NOTIFIER_DATA_FOLDER=/data \
    NOTIFIER_LOG_FORMAT=json
USER notifier
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"NOTIFIER_PORT\"]}/healthz', timeout=4)"]
CMD ["notifier", "serve"]
