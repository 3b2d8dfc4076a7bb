"""A real Kubernetes API server for the tests: etcd and kube-apiserver on the loopback."""
