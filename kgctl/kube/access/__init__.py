"""Access to an API server: kubeconfigs, credentials, TLS and proxies."""
