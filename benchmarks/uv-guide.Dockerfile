# What uv's guide to Docker says, for a requirements file: the program and the requirements are mounted, uv's cache is a
# cache mount, files are copied out of it, and byte code is compiled. One image on the same base as envgen's.
# The wheels lie in a folder, so that this can be measured where no index is reached from inside a build.
ARG BASE
FROM ${BASE}
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN --mount=type=bind,from=uv,source=/uv,target=/bin/uv uv venv --python python3.11 /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:${PATH}
RUN --network=none \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,from=uv,source=/uv,target=/bin/uv \
    --mount=type=bind,from=wheels,target=/wheels \
    uv pip install --require-hashes --no-index --find-links /wheels --requirement /tmp/requirements.txt
CMD ["python"]
