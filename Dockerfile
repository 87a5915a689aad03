# Two images from the pinned packages. `command` runs any command, or a worker of a cluster (docs/cluster.md):
#   docker build --target command -t protein-locations-command .
#   docker run --rm -v ./pictures:/pictures:ro -v ./work:/work \
#     protein-locations-command extract --images /pictures --work /work
# The last one, which is built unless told otherwise, is the service of docs/serving.md; a model is mounted, else
# the shipped network answers:
#   docker build -t protein-locations .
#   docker run --rm -p 8000:8000 -v ./demo/work/model:/model:ro -v ./token:/token:ro \
#     protein-locations --model /model --token-file /token
FROM python:3.11-slim AS base
# what LightGBM's threads need and the slim image lacks
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY run.py ./
COPY data data
COPY features features
COPY models models
COPY pipeline pipeline
RUN useradd --create-home service && chown -R service /app

FROM base AS command
COPY requirements_cluster.txt requirements_remote.txt ./
RUN pip install --no-cache-dir -r requirements_cluster.txt -r requirements_remote.txt
ENV PYTHONPATH=/app OMP_NUM_THREADS=1
RUN mkdir /copies && chown service /copies
USER service
ENTRYPOINT ["python", "run.py"]

FROM base AS service
COPY requirements_serve.txt ./
RUN pip install --no-cache-dir -r requirements_serve.txt
USER service
EXPOSE 8000
HEALTHCHECK CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz')"
ENTRYPOINT ["python", "run.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
