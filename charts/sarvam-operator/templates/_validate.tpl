{{/* Milliseconds of a duration that the schema has let through. */}}
{{- define "sarvam-operator.milliseconds" -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- mul (int64 $number) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (trimPrefix $number .)) -}}
{{- end -}}

{{/*
What values say about each other, and other rules that a JSON schema can't tell in a sentence. The operator has most of them too; here they
are met before anything is changed in the cluster.
*/}}
{{- define "sarvam-operator.validate" -}}
{{- $wrong := list -}}
{{- $values := .Values -}}

{{- $windows := dict "lease.duration" $values.lease.duration -}}
{{- range $name, $text := $values.protocol -}}
{{- $_ := set $windows (printf "protocol.%s" $name) $text -}}
{{- end -}}
{{- $ms := dict -}}
{{- range $name, $text := $windows -}}
{{- $_ := set $ms $name (int64 (include "sarvam-operator.milliseconds" $text)) -}}
{{- if gt (int64 (get $ms $name)) (int64 86400000) -}}
{{- $wrong = append $wrong (printf "%s (%s) is too long: 24h at most." $name $text) -}}
{{- end -}}
{{- end -}}
{{- $call := get $ms "protocol.callTimeout" -}}
{{- $doubt := get $ms "protocol.doubtWindow" -}}
{{- $lease := get $ms "lease.duration" -}}
{{- $protocol := $values.protocol -}}
{{- if or (lt $call (int64 100)) (gt $call (int64 60000)) -}}
{{- $wrong = append $wrong (printf "protocol.callTimeout (%s) must be from 100ms to 60s." $protocol.callTimeout) -}}
{{- end -}}
{{- if or (lt $lease (int64 1000)) (gt $lease (int64 3600000)) -}}
{{- $wrong = append $wrong (printf "lease.duration (%s) must be from 1s to 1h." $values.lease.duration) -}}
{{- end -}}
{{- if ge (mul $call 20) (mul $lease 19) -}}
{{- $wrong = append $wrong (printf "protocol.callTimeout (%s) must be shorter than lease.duration (%s), less a twentieth: a call is sent only while the lease outlives it. Give 8s and 15s, for example." $protocol.callTimeout $values.lease.duration) -}}
{{- end -}}
{{- if lt $doubt $call -}}
{{- $wrong = append $wrong (printf "protocol.doubtWindow (%s) must not be shorter than protocol.callTimeout (%s): a remote that may take so long to answer may take as long to apply a call after its sender gave up. Give 30s and 8s, for example." $protocol.doubtWindow $protocol.callTimeout) -}}
{{- end -}}
{{- if gt (get $ms "protocol.settleWindow") $doubt -}}
{{- $wrong = append $wrong (printf "protocol.settleWindow (%s) must not be longer than protocol.doubtWindow (%s): an answered call can't be less certain than one without an answer. Give 5s and 30s, for example." $protocol.settleWindow $protocol.doubtWindow) -}}
{{- end -}}

{{- $remote := $values.remote -}}
{{- /* The URL is not repeated: somebody may have put a password in it. */ -}}
{{- if hasPrefix "http://" $remote.url -}}
{{- $wrong = append $wrong "remote.url must begin with https://, because the API key is sent there." -}}
{{- end -}}
{{- if (urlParse $remote.url).userinfo -}}
{{- $wrong = append $wrong "remote.url must not have a user or a password in it: the API key is all that is sent." -}}
{{- end -}}
{{- if regexMatch "[?#]" $remote.url -}}
{{- $wrong = append $wrong "remote.url must end with its path: take away what follows '?' or '#'." -}}
{{- end -}}
{{- if and $remote.caBundle.configMap.name $remote.caBundle.secret.name -}}
{{- $wrong = append $wrong "remote.caBundle.configMap.name and remote.caBundle.secret.name are both set: certificates come from one of them. Empty the other." -}}
{{- end -}}
{{- if (urlParse $values.traces.endpoint).userinfo -}}
{{- $wrong = append $wrong "traces.endpoint must not have a user or a password in it: set OTEL_EXPORTER_OTLP_HEADERS in extraEnv, from a Secret." -}}
{{- end -}}
{{- $environment := list -}}
{{- range $values.extraEnv -}}
{{- $environment = append $environment .name -}}
{{- if or (hasPrefix "SARVAM_" .name) (has .name (list "RUST_LOG" "OTEL_EXPORTER_OTLP_ENDPOINT")) -}}
{{- $wrong = append $wrong (printf "extraEnv sets %s, which would be overruled or would overrule a value of the chart: set that value instead, or leave it out." .name) -}}
{{- end -}}
{{- end -}}
{{- if and $remote.useProxy (not (has "HTTPS_PROXY" $environment)) (not (has "https_proxy" $environment)) -}}
{{- $wrong = append $wrong "remote.useProxy is true and extraEnv names no proxy: add {name: HTTPS_PROXY, value: http://proxy.example.com:3128}, for example." -}}
{{- end -}}

{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- range $name := list "commonLabels" "podLabels" -}}
{{- range $label, $_ := get $values $name -}}
{{- if has $label $own -}}
{{- $wrong = append $wrong (printf "%s sets %s, which the chart sets itself: leave it out." $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- $watched := $values.watchNamespace -}}
{{- $namespaces := list -}}
{{- range $values.rbac.secrets -}}
{{- if and $watched (ne .namespace $watched) -}}
{{- $wrong = append $wrong (printf "rbac.secrets names namespace %s, where no Secret is ever read, because watchNamespace is %s. Take that entry out, or leave watchNamespace empty to watch all." .namespace $watched) -}}
{{- end -}}
{{- if has .namespace $namespaces -}}
{{- $wrong = append $wrong (printf "rbac.secrets has namespace %s twice: put all its names into one entry." .namespace) -}}
{{- end -}}
{{- $namespaces = append $namespaces .namespace -}}
{{- end -}}

{{- $scrape := $values.metrics.serviceMonitor -}}
{{- if gt (int64 (include "sarvam-operator.milliseconds" $scrape.scrapeTimeout)) (int64 (include "sarvam-operator.milliseconds" $scrape.interval)) -}}
{{- $wrong = append $wrong (printf "metrics.serviceMonitor.scrapeTimeout (%s) must not be longer than metrics.serviceMonitor.interval (%s). Give 10s and 30s, for example." $scrape.scrapeTimeout $scrape.interval) -}}
{{- end -}}

{{- with $wrong -}}
{{- fail (printf "\n%s" (join "\n" .)) -}}
{{- end -}}
{{- end -}}
