// The shell scripts of a shard's container, which need of its image no more than a shell and PostgreSQL's own programs.
// The rule: a data directory appears by rename only, whole, and one that is there is never deleted or changed.
//
//   pgdata.new   being made by initdb; a crash leaves it, and the next start makes it anew
//   pgdata       whole; the server's
//   any other    not ours: the container ends with a sentence that says what lies there

export interface ScriptPaths {
  /** The mounted volume. */
  readonly volume: string;
  /** The data directory, below the volume. */
  readonly data: string;
  /** Folder of postgresql.conf, the scripts and initdb.args. */
  readonly configuration: string;
  /** Folder of the files username and password. */
  readonly superuser: string;
  readonly sockets: string;
}

/** Debian keeps the programs out of the PATH, as do others; images usually mend that, not all do. */
const FIND_PROGRAMS = `if ! command -v postgres >/dev/null 2>&1; then
  for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /opt/*/postgresql/bin; do
    if [ -x "$bin/postgres" ]; then PATH="$bin:$PATH"; fi
  done
  export PATH
fi`;

/** Shell functions: what else lies in a folder, and the making of the data directory. */
const INITIALISE = `# What lies in folder $1 besides the names after it.
others_in() {
  folder=$1
  shift
  found=
  for entry in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
    if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then continue; fi
    name=\${entry##*/}
    known=
    for ours in "$@"; do
      if [ "$name" = "$ours" ]; then known=1; fi
    done
    if [ -z "$known" ]; then found="$found\${found:+, }$name"; fi
  done
  echo "$found" | cut -c 1-200
}

initialise() {
  foreign=$(others_in "$volume" "\${data##*/}" "\${unfinished##*/}" lost+found .snapshot)
  if [ -n "$foreign" ]; then
    refuse "the volume at $volume is not empty and was not made by AtomShard: it holds $foreign. Nothing was changed; use an empty volume"
  fi
  # Only ever ours, and only ever unfinished.
  rm -rf "$unfinished"
  set -- --encoding=UTF8 --data-checksums
  if ! grep -Eq -e '^--(no-)?(locale|lc-|icu-|builtin-)' "$configuration/initdb.args"; then
    # Sorting that no library of a later image can change, as that would break every index on text.
    if [ "$image_major" -ge 17 ]; then
      set -- "$@" --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
    else
      set -- "$@" --locale=C --lc-ctype=C.UTF-8
    fi
  fi
  while IFS= read -r option; do
    if [ -n "$option" ]; then set -- "$@" "$option"; fi
  done < "$configuration/initdb.args"
  # In the background, because only so does a shell that is process 1 hear that it shall stop.
  initdb -D "$unfinished" --username="$(cat "$superuser/username")" --pwfile="$superuser/password" \\
    --auth-local=peer --auth-host=scram-sha-256 "$@" &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null; exit 143' TERM INT QUIT
  wait "$child" || refuse "initdb failed; see the lines above. It is tried again at the next start"
  trap - TERM INT QUIT
  if [ -d "$data" ]; then rmdir "$data"; fi
  # initdb has synced every file. A crash before this leaves no data directory, after it a whole one.
  mv "$unfinished" "$data"
  # The new name must be durable before the first row is: else a power cut could bring back the unfinished one, to be removed.
  sync "$volume" 2>/dev/null || sync
}`;

/**
 * Process 1 of a shard's container: makes the data directory where there is none, then becomes the server. Whatever it
 * refuses is the last line on standard error, which Kubernetes keeps as the container's message.
 */
export function bootstrapScript({ volume, data, configuration, superuser }: ScriptPaths): string {
  return `#!/bin/sh
# Written by the operator. Makes the data directory where there is none, then becomes PostgreSQL.
set -eu
umask 077
volume='${volume}'
data='${data}'
unfinished="$data.new"
configuration='${configuration}'
superuser='${superuser}'

refuse() {
  echo "FATAL:  $*" >&2
  exit 1
}

${FIND_PROGRAMS}
command -v postgres >/dev/null 2>&1 || refuse "the image has no program postgres, in the PATH or where PostgreSQL usually is"
image_version=$(postgres --version) || refuse "the image's postgres cannot run here"
image_version=\${image_version##*) }
image_major=\${image_version%%[!0-9]*}

${INITIALISE}
if [ -e "$data/PG_VERSION" ]; then
  data_major=$(cat "$data/PG_VERSION")
  if [ "$data_major" != "$image_major" ]; then
    refuse "the volume holds data of PostgreSQL $data_major and the image is PostgreSQL $image_version: a major version cannot change in place. Nothing was changed; write the former image into spec.postgres.image"
  fi
elif [ -e "$data" ]; then
  foreign=$(others_in "$data")
  if [ -n "$foreign" ]; then
    refuse "$data is not a data directory of PostgreSQL (it has no PG_VERSION) and is not empty: it holds $foreign. Nothing was changed; use an empty volume"
  fi
  initialise
else
  initialise
fi

# Kubernetes may have opened it to the group; PostgreSQL does not start then.
chmod 0700 "$data" || refuse "$data belongs to another user than this container's ($(id -u)); give it to that user"
exec postgres -D "$data" -c config_file="$configuration/postgresql.conf"
`;
}

/**
 * `probe.sh alive`: the server answers, be it that it recovers or stops; `probe.sh ready`: it takes connections. A server
 * that works through its log for an hour is alive, and killing it would only begin the hour anew.
 */
export function probeScript({ sockets, superuser }: ScriptPaths): string {
  return `#!/bin/sh
# Written by the operator. Asks the server on its Unix socket; pg_isready: 0 takes connections, 1 refuses them for now, 2 silent.
${FIND_PROGRAMS}
pg_isready --quiet --timeout=4 --host='${sockets}' --username="$(cat '${superuser}/username')" --dbname=postgres
answer=$?
if [ "$1" = alive ] && [ "$answer" -eq 1 ]; then exit 0; fi
exit "$answer"
`;
}
