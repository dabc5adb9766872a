// The text that Prometheus reads, and the little server that gives it out.
import { describe, expect, it } from 'vitest';
import { startHttpStatus } from '../../../src/telemetry/http-status.ts';
import { metricLines, renderMetrics } from '../../../src/telemetry/metrics.ts';
import { PROXY_METRICS } from '../../../src/telemetry/metrics-table.ts';

const table = {
  plain: { type: 'gauge', help: 'a "plain" one\nof two lines', labels: [] },
  labelled: { type: 'counter', help: 'h', labels: ['a', 'b'] },
  times: { type: 'histogram', help: 'h', labels: ['way'] },
  none: { type: 'gauge', help: 'h', labels: ['shard'] },
} as const;
const samples = {
  plain: 1.5,
  labelled: [{ labels: ['x\\y"z\n', ''], value: 2 }],
  times: [{ labels: ['w'], bounds: [0.1, 1], counts: [3, 0, 2], sum: 9 }],
  none: [],
};

describe('renderMetrics', () => {
  it('writes help, type and samples, escaped; buckets are cumulated', () => {
    expect(renderMetrics(table, samples).split('\n')).toEqual([
      '# HELP plain a "plain" one\\nof two lines',
      '# TYPE plain gauge',
      'plain 1.5',
      '# HELP labelled h',
      '# TYPE labelled counter',
      'labelled{a="x\\\\y\\"z\\n",b=""} 2',
      '# HELP times h',
      '# TYPE times histogram',
      'times_bucket{way="w",le="0.1"} 3',
      'times_bucket{way="w",le="1"} 3',
      'times_bucket{way="w",le="+Inf"} 5',
      'times_sum{way="w"} 9',
      'times_count{way="w"} 5',
      '# HELP none h',
      '# TYPE none gauge',
      '',
    ]);
  });

  it('gives the same lines as values', () => {
    expect(metricLines(table, samples)[1]).toEqual({ name: 'labelled', labels: 'a="x\\\\y\\"z\\n",b=""', value: 2 });
  });

  it('counters of the proxy end in _total, and no name is used twice for a histogram', () => {
    for (const [name, { type }] of Object.entries(PROXY_METRICS)) {
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      expect(name).toMatch(/^(atomshard|process|nodejs)_[a-z_]+$/);
    }
  });
});

describe('the HTTP server', () => {
  it('answers its routes to GET and HEAD, and nothing else', async () => {
    const routes = {
      '/ok': () => ({ status: 200, body: 'ok\n' }),
      '/fails': () => Promise.reject(new Error('broken')),
    };
    const server = await startHttpStatus({ host: '127.0.0.1', port: 0, routes });
    const ask = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return [response.status, await response.text()];
    };
    expect(await ask('/ok?verbose')).toEqual([200, 'ok\n']);
    expect(await ask('/ok', 'HEAD')).toEqual([200, '']);
    expect(await ask('/fails')).toEqual([500, 'broken\n']);
    expect(await ask('/constructor')).toEqual([404, 'try /ok, /fails\n']);
    expect(await ask('/ok', 'POST')).toEqual([405, 'only GET and HEAD\n']);
    await server.close();
    await expect(ask('/ok')).rejects.toThrow();
  });

  it('says when its port is taken', async () => {
    const server = await startHttpStatus({ host: '127.0.0.1', port: 0, routes: {} });
    await expect(startHttpStatus({ host: '127.0.0.1', port: server.port, routes: {} })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await server.close();
  });
});
