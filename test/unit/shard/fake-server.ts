// A PostgreSQL server of a few lines for tests of connections: it logs everybody in, tells its facts, and then does to
// the connection whatever the test says.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { readQuery } from '../../../src/protocol/client-message.ts';
import { FrameReader } from '../../../src/protocol/frame.ts';
import { CLIENT } from '../../../src/protocol/message-type.ts';
import * as write from '../../../src/protocol/server-message.ts';
import { StartupReader } from '../../../src/protocol/startup.ts';
import { FACTS_QUERY } from '../../../src/shard/server-facts.ts';
import type { ShardTarget } from '../../../src/shard/target.ts';

export interface FakeBackend {
  readonly socket: Socket;
  readonly pid: number;
  readonly startup: ReadonlyMap<string, string>;
  /** Texts of the queries that arrived, without the facts query. */
  readonly queries: string[];
  /** How many socket reads brought typed frames. */
  reads: number;
}

export interface FakeFacts {
  standby: string;
  version: string;
  slots: string;
  systemIdentifier: string;
  timeline: string;
}

export class FakeServer implements AsyncDisposable {
  readonly backends: FakeBackend[] = [];
  readonly cancels: number[] = [];
  readonly facts: FakeFacts = {
    standby: 'f',
    version: '180004',
    slots: '64',
    systemIdentifier: '7001',
    timeline: '00000001',
  };
  /** Answers one query; by default the tag `OK` and ready. */
  onQuery: (backend: FakeBackend, sql: string) => void = (backend) => backend.socket.write(reply('OK'));
  /** Instead of the login: what to send to a new connection; undefined lets it in. */
  greeting: Buffer | undefined;
  /** Keeps new connections waiting after the startup packet until released. */
  held: (() => void)[] | undefined;
  /** True: cancel requests are taken and not answered. */
  holdCancels = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #pid = 100;

  private constructor() {
    // No Nagle delay: a test that writes twice must not wait for the other side's acknowledgement.
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get target(): ShardTarget {
    const { port } = this.#server.address() as AddressInfo;
    return { shard: 'shard-1', host: '127.0.0.1', port, database: 'db', user: 'u', applicationName: 'as1:c:i.1' };
  }

  /** The newest backend. */
  get backend(): FakeBackend {
    const backend = this.backends.at(-1);
    if (backend === undefined) throw new Error('nobody is connected');
    return backend;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('end', () => {
      if (!this.holdCancels) socket.end();
    });
    const startup = new StartupReader();
    socket.once('data', (chunk) => {
      const step = startup.push(chunk);
      if (step.kind !== 'packet') throw new Error(`the startup packet came in pieces: ${step.kind}`);
      if (step.packet.kind === 'cancel') {
        this.cancels.push(step.packet.pid);
        if (!this.holdCancels) socket.destroy();
        return;
      }
      if (step.packet.kind !== 'startup') throw new Error(step.packet.kind);
      const backend = { socket, pid: ++this.#pid, startup: step.packet.parameters, queries: [], reads: 0 };
      const greet = () => this.#greet(backend);
      if (this.held === undefined) greet();
      else this.held.push(greet);
    });
  }

  #greet(backend: FakeBackend): void {
    if (this.greeting !== undefined) {
      backend.socket.end(this.greeting);
      return;
    }
    this.backends.push(backend);
    const reader = new FrameReader(
      {
        frame: (type, chunk, start, end) => {
          if (type === CLIENT.terminate) backend.socket.end();
          else if (type === CLIENT.query) this.#query(backend, readQuery(chunk, start, end));
        },
        chunkEnd: () => {
          backend.reads += 1;
        },
      },
      1 << 20,
    );
    backend.socket.on('data', (chunk) => reader.push(chunk));
    const { socket, pid } = backend;
    const key = write.backendKeyData(pid, Buffer.alloc(4, 7));
    socket.write(
      Buffer.concat([write.AUTHENTICATION_OK, write.parameterStatus('TimeZone', 'UTC'), key, write.READY_IDLE]),
    );
  }

  #query(backend: FakeBackend, sql: string): void {
    if (sql === FACTS_QUERY) {
      const { standby, version, slots, systemIdentifier, timeline } = this.facts;
      const started = `2026-01-01 00:00:00.${String(backend.pid).padStart(6, '0')}+00`;
      const row = [standby, version, slots, systemIdentifier, timeline, String(backend.pid), started];
      backend.socket.write(Buffer.concat([write.dataRow(row), reply('SELECT 1')]));
      return;
    }
    backend.queries.push(sql);
    this.onQuery(backend, sql);
  }
}

/** A complete answer: tag and ReadyForQuery. */
export function reply(tag: string, ready: Buffer = write.READY_IDLE): Buffer {
  return Buffer.concat([write.commandComplete(tag), ready]);
}

export function fatal(code: string, message: string): Buffer {
  return write.errorResponse({ severity: 'FATAL', code, message });
}
