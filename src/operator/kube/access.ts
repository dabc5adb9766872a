// Where the API server is and who we are to it, as values; reading files and running programs is for the sources beside this.

/** PEM texts of one TLS connection. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name to ask for and to expect, where it is not the host of the URL. */
  readonly serverName?: string | undefined;
  /** True only where a kubeconfig says so. */
  readonly insecure?: boolean | undefined;
}

export interface Access {
  readonly server: URL;
  readonly tls: TlsMaterial;
  readonly token?: string | undefined;
}

export interface AccessSource {
  /** The access of now; cheap when nothing changed, and then with the same `tls` object. Rejects with {@link AccessError}. */
  current(): Promise<Access>;
  /** The server refused the credentials: the next {@link AccessSource.current} reads them again. */
  refused(): void;
}

/** Thrown when there is no usable way to the API server in what was given; the message says what and where. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
}
