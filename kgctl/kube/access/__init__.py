"""Who asks which API server: kubeconfigs, credentials, TLS and proxies."""
