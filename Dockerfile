# docker build -t sslig . && docker run --rm -it -p 8866:8866 sslig
# Builds the demo of synthetic speech-like signals on the first start, and serves the explorer with a token that it prints.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make libsndfile1 && rm -rf /var/lib/apt/lists/*
WORKDIR /sslig
COPY . .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -e ".[demo]"
EXPOSE 8866
CMD ["python", "-m", "sslig.widgets.serve", "experiments/smoke.yaml", "--page", "explore", "--address", "0.0.0.0", "--token"]
