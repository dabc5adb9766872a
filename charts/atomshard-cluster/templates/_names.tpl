{{- define "atomshard-cluster.name" -}}
{{- default .Release.Name .Values.nameOverride -}}
{{- end -}}

{{/* On the ShardedCluster only: what it is made of carries the operator's labels. */}}
{{- define "atomshard-cluster.labels" -}}
app.kubernetes.io/name: atomshard
app.kubernetes.io/instance: {{ include "atomshard-cluster.name" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The role that clients log in as: the first of credentials.users, or the one that the operator makes. */}}
{{- define "atomshard-cluster.user" -}}
{{- $users := default list .Values.credentials.users -}}
{{- if $users -}}{{- (first $users).name -}}{{- else -}}app{{- end -}}
{{- end -}}

{{/* The operator's Secret of a role: userSecretName in src/operator/desired/names.ts; a test compares the two. */}}
{{- define "atomshard-cluster.userSecret" -}}
{{- $role := include "atomshard-cluster.user" . -}}
{{- $name := include "atomshard-cluster.name" . -}}
{{- if regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $role -}}
{{- printf "%s-user-%s" $name $role -}}
{{- else -}}
{{- $readable := regexReplaceAll "^-|-$" (regexReplaceAll "[^a-z0-9]+" (lower $role) "-") "" -}}
{{- $hash := sha256sum $role | trunc 8 -}}
{{- if $readable -}}{{- printf "%s-user-%s-%s" $name $readable $hash -}}{{- else -}}{{- printf "%s-user-%s" $name $hash -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with that role's password, and the key in it. */}}
{{- define "atomshard-cluster.passwordSecret" -}}
{{- $users := default list .Values.credentials.users -}}
{{- $ref := dict -}}
{{- if $users -}}{{- $ref = default dict (first $users).passwordSecretRef -}}{{- end -}}
{{- if $ref.name -}}
{{- dict "name" $ref.name "key" (default "password" $ref.key) | toJson -}}
{{- else -}}
{{- dict "name" (include "atomshard-cluster.userSecret" .) "key" "password" | toJson -}}
{{- end -}}
{{- end -}}

{{- define "atomshard-cluster.database" -}}
{{- if .Values.shards.external -}}
{{- default "postgres" (first .Values.shards.external).database -}}
{{- else -}}
{{- default "app" .Values.postgres.database -}}
{{- end -}}
{{- end -}}

{{- define "atomshard-cluster.port" -}}
{{- dig "service" "port" 5432 .Values.proxy -}}
{{- end -}}
