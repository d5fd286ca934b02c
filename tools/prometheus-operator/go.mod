// The custom resource definitions of the Prometheus Operator, which its module ships as YAML.
module sarvam-operator/tools/prometheus-operator

go 1.25.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
