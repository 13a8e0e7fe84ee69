{{- define "pipepost.name" -}}
{{- if contains "pipepost" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-pipepost" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pipepost.selector" -}}
app.kubernetes.io/name: pipepost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pipepost.labels" -}}
{{ include "pipepost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "pipepost.pipelines" -}}
{{- if and .Values.pipelines .Values.existingPipelines }}{{ fail "Set `pipelines` or `existingPipelines`, not both." }}{{ end -}}
{{- .Values.existingPipelines | default (printf "%s-pipelines" (include "pipepost.name" .)) }}
{{- end }}

{{/* Where the state is. The password is in a file, and the server's certificate is checked with its name. */}}
{{- define "pipepost.state" -}}
{{- $hosts := required "Set `postgres.hosts`: the PostgreSQL server, or several with commas between them." .Values.postgres.hosts -}}
postgres://{{ .Values.postgres.user }}:${file:/postgres/password}@{{ $hosts }}/{{ .Values.postgres.database }}?sslmode=verify-full
{{- if .Values.postgres.ownAuthority }}&sslrootcert=/postgres/ca.pem{{ end -}}
{{- if contains "," $hosts }}&target_session_attrs=read-write{{ end -}}
&lease={{ .Values.postgres.lease }}
{{- end }}

{{/* By which names requests may name the service. */}}
{{- define "pipepost.urls" -}}
{{- $name := include "pipepost.name" . -}}
{{- $space := .Release.Namespace -}}
{{- $urls := list -}}
{{- range list $name (printf "%s.%s" $name $space) (printf "%s.%s.svc" $name $space) (printf "%s.%s.svc.cluster.local" $name $space) -}}
{{- $urls = append $urls (printf "http://%s" .) -}}
{{- end -}}
{{- concat .Values.publicUrls $urls | join "," -}}
{{- end }}
