# The service of docs/serving.md, from pinned packages; a model is mounted, else the shipped network answers:
#   docker build -t protein-locations .
#   docker run --rm -p 8000:8000 -v ./demo/work/model:/model:ro -v ./token:/token:ro \
#     protein-locations --model /model --token-file /token
FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt requirements_serve.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements_serve.txt
COPY run.py ./
COPY data data
COPY features features
COPY models models
COPY pipeline pipeline
RUN useradd --create-home service && chown service /app
USER service
EXPOSE 8000
HEALTHCHECK CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz')"
ENTRYPOINT ["python", "run.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
