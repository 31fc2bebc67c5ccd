# The shortest way: pip, one layer, no cache.
ARG BASE
FROM ${BASE}
RUN --network=none \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,from=wheels,target=/wheels \
    python3.11 -m venv /opt/venv && \
    /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-index --find-links /wheels --requirement /tmp/requirements.txt
ENV PATH=/opt/venv/bin:${PATH}
CMD ["python"]
