# The shortest way: pip, one layer, no cache.
ARG BASE
FROM ${BASE}
RUN --network=none \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,from=wheels,target=/wheels \
    python3.11 -m venv --without-pip /opt/venv && \
    python3.11 -m pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes --no-index --find-links /wheels --requirement /tmp/requirements.txt
ENV PATH=/opt/venv/bin:${PATH}
CMD ["python"]
