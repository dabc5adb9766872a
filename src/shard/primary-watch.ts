// Remembers which primary a pool last reached: after a failover, connections to the former one are not used any more.
import type { ServerIdentity } from './branch-link.ts';
import type { ServerConnection } from './connection.ts';
import { ConnectFailure, type ShardTarget } from './target.ts';

export class PrimaryWatch {
  readonly #target: ShardTarget;
  #systemIdentifier = '';
  #timeline = 0;

  constructor(target: ShardTarget) {
    this.#target = target;
  }

  /**
   * Judges a new connection. A server of the same cluster on an older timeline is a former primary that was not stopped
   * yet: what is committed there would be lost, so it is refused (ConnectFailure) and closed.
   */
  admit(connection: ServerConnection): void {
    const { systemIdentifier, timeline } = connection.identity;
    if (systemIdentifier === this.#systemIdentifier && timeline < this.#timeline) {
      connection.destroy('a former primary');
      const reason = `the server is on timeline ${timeline}, but timeline ${this.#timeline} has been seen: a former primary`;
      throw new ConnectFailure(this.#target, 'unfit', reason);
    }
    this.#systemIdentifier = systemIdentifier;
    this.#timeline = timeline;
  }

  /** False for a connection made to another server than the newest one. */
  isCurrent(identity: ServerIdentity): boolean {
    return identity.timeline === this.#timeline && identity.systemIdentifier === this.#systemIdentifier;
  }
}
