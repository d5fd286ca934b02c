{{/* The chart's name, as labels have it. */}}
{{- define "sarvam-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What the objects are called: the release's name, and the chart's unless the one has the other in it. */}}
{{- define "sarvam-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := include "sarvam-operator.name" . -}}
{{- $release := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- /* A release may have dots in its name, a Service may not. */ -}}
{{- $release | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release: a Deployment's selector can't. */}}
{{- define "sarvam-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sarvam-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "sarvam-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "sarvam-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sarvam-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sarvam-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Lease that decides which replica acts. */}}
{{- define "sarvam-operator.leaseName" -}}
{{- default (include "sarvam-operator.fullname" .) .Values.lease.name -}}
{{- end -}}

{{/* With a digest, the chart's own tag is left out: it may name other bytes. */}}
{{- define "sarvam-operator.image" -}}
{{- $image := .Values.image -}}
{{- $tag := ternary $image.tag (default .Chart.AppVersion $image.tag) (ne $image.digest "") -}}
{{- $image.repository -}}
{{- with $tag }}:{{ . }}{{ end -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* Where /healthz, /readyz and /metrics are served. */}}
{{- define "sarvam-operator.httpAddress" -}}
{{- $address := .Values.http.address -}}
{{- printf "%s:%v" (contains ":" $address | ternary (printf "[%s]" $address) $address) .Values.http.port -}}
{{- end -}}

{{/* The volume with the certificates for the remote; nothing where no bundle is named. */}}
{{- define "sarvam-operator.caBundle" -}}
{{- $bundle := .Values.remote.caBundle -}}
{{- if $bundle.configMap.name -}}
configMap:
  name: {{ $bundle.configMap.name }}
  items:
    - key: {{ $bundle.configMap.key }}
      path: ca.crt
{{- else if $bundle.secret.name -}}
secret:
  secretName: {{ $bundle.secret.name }}
  items:
    - key: {{ $bundle.secret.key }}
      path: ca.crt
{{- end -}}
{{- end -}}

{{/* Replicas on one node or in one zone go down together. A soft spread, because a replica there is better than none. */}}
{{- define "sarvam-operator.topologySpread" -}}
{{- $selector := dict "matchLabels" (fromYaml (include "sarvam-operator.selectorLabels" .)) -}}
{{- $constraints := .Values.topologySpreadConstraints -}}
{{- if and (not $constraints) (gt (int .Values.replicas) 1) -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $soft := dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash") -}}
{{- $constraints = append $constraints $soft -}}
{{- end -}}
{{- end -}}
{{- $complete := list -}}
{{- range $constraints -}}
{{- $complete = append $complete (merge (deepCopy .) (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- with $complete -}}{{ toYaml . }}{{- end -}}
{{- end -}}

{{/* The other end of a NetworkPolicy's rule, by addresses; nothing where there are none, which is any. */}}
{{- define "sarvam-operator.toBlocks" -}}
{{- with . -}}
to:
{{- range . }}
  - ipBlock:
      cidr: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}
