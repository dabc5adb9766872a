// A relay between a client and a server that sees every byte and may change them: a network that cannot be trusted.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface RelayedConnection {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client has sent so far. */
  fromClient: Buffer;
}

export class ByteRelay implements AsyncDisposable {
  readonly connections: RelayedConnection[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<ByteRelay> {
    const server = createServer({ noDelay: true });
    const relay = new ByteRelay(server);
    server.on('connection', (client) => relay.#accept(client, port));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(client: Socket, port: number): void {
    const connection = {
      client,
      server: connect({ port, host: '127.0.0.1', noDelay: true }),
      fromClient: Buffer.alloc(0),
    };
    const { server } = connection;
    this.connections.push(connection);
    client.on('data', (chunk) => {
      connection.fromClient = Buffer.concat([connection.fromClient, chunk]);
      server.write(chunk);
    });
    server.on('data', (chunk) => client.write(chunk));
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('end', () => other.end());
      one.on('close', () => other.destroy());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client, server } of this.connections) {
      client.destroy();
      server.destroy();
    }
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
