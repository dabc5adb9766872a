// Where utility statements run. The rule: what shared server connections or several shards cannot keep (temporary tables,
// LISTEN, held cursors, a client's own two-phase commit) is refused at once with what to do instead.
import type { CopyStmt, Node } from 'libpg-query';
import type { StatementAction } from '../sql/action.ts';
import { isHeldCursor } from '../sql/classify.ts';
import { factsOf } from '../sql/facts.ts';
import { ddlRefusal } from './ddl.ts';
import type { Decision } from './decision.ts';
import type { KeyReading } from './key-expression.ts';
import type { Route } from './plan.ts';
import { neverAnywhere, type PlannedBody, planBody } from './plan-statement.ts';
import { featureError, HINT_BY_HAND, type Refused, refuse } from './refusal.ts';
import { resolveRelation, type ShardedRule } from './scopes.ts';
import type { Topology } from './topology.ts';

const ANY: Route = { kind: 'any' };
const ALL: Route = { kind: 'all' };

/** Plans anything but SELECT, INSERT, UPDATE, DELETE. */
export function planUtility(node: Node, action: StatementAction, topology: Topology, reading: KeyReading): PlannedBody {
  const never = neverForSession(node, action);
  if (never !== undefined) return body({ kind: 'fixed', route: never }, { never });
  switch (action.kind) {
    case 'explain':
    case 'cursor':
    case 'copy': {
      const inner = innerQuery(node);
      if (inner !== undefined) return planInner(inner, action, topology, reading);
      if ('CopyStmt' in node) return planCopy(node.CopyStmt, topology);
      return action.kind === 'explain' ? explainUtility(topology) : body({ kind: 'fixed', route: ANY }, {});
    }
    case 'query':
    case 'ddl':
    case 'lock':
    case 'ddlOutsideTransaction':
    case 'procedure':
      return planActing(node, action, topology);
    case 'set':
      return body({ kind: 'fixed', route: settingRefusal(action.name, action.value) ?? ANY }, {});
    default:
      return body({ kind: 'fixed', route: ANY }, {});
  }
}

function body(decision: Decision, more: Partial<PlannedBody>): PlannedBody {
  return {
    decision,
    merge: 'first',
    writes: false,
    locks: false,
    setConfig: false,
    tables: [],
    lockFirst: undefined,
    rules: [],
    never: undefined,
    ...more,
  };
}

function neverForSession(node: Node, action: StatementAction): Refused | undefined {
  switch (action.kind) {
    case 'preparedTransaction':
      return refuse(
        'PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED are the proxy’s own tools here',
        'COMMIT: a transaction that wrote on several shards is committed in two phases by itself.',
      );
    case 'sqlPrepare':
    case 'sqlExecute':
      return refuse(
        'SQL PREPARE and EXECUTE are not supported',
        'Use the prepared statements of the protocol (your driver’s).',
      );
    case 'notification':
      if (action.verb === 'unlisten') return undefined;
      return refuse(
        `${action.verb.toUpperCase()} is not supported: sessions share server connections`,
        'Connect to one shard directly.',
      );
    default:
      break;
  }
  if ('DeclareCursorStmt' in node && isHeldCursor(node.DeclareCursorStmt)) {
    return refuse(
      'cursors WITH HOLD are not supported: sessions share server connections',
      'Read the cursor inside its transaction.',
    );
  }
  return neverAnywhere(factsOf(node));
}

/** Settings under which the text of statements would mean something else than is read here. */
export function settingRefusal(name: string, value: string | null): Refused | undefined {
  if (value === null) return undefined;
  const plain = value.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  if (
    name === 'standard_conforming_strings' &&
    !['on', 'true', 'yes', '1', 'tru', 'tr', 't', 'ye', 'y'].includes(plain)
  ) {
    return refuse(
      'standard_conforming_strings must stay on: statements are read with it',
      "Write E'…' where you need backslashes.",
    );
  }
  if (name === 'client_encoding' && !['utf8', 'unicode', 'utf'].includes(plain)) {
    return refuse(`client_encoding ${value} is not supported, because shard keys are hashed as UTF-8`, 'Use UTF8.');
  }
  return undefined;
}

function innerQuery(node: Node): Node | undefined {
  if ('ExplainStmt' in node) return node.ExplainStmt.query;
  if ('DeclareCursorStmt' in node) return node.DeclareCursorStmt.query;
  return 'CopyStmt' in node ? node.CopyStmt.query : undefined;
}

/** EXPLAIN, DECLARE CURSOR and COPY (query): where their query runs, as long as that is one place. */
function planInner(inner: Node, action: StatementAction, topology: Topology, reading: KeyReading): PlannedBody {
  const planned = planBody(inner, topology, reading);
  const writes = planned.writes && (action.kind !== 'explain' || action.analyze);
  const what = { explain: 'EXPLAIN', cursor: 'a cursor', copy: 'COPY (query)' }[
    action.kind as 'explain' | 'cursor' | 'copy'
  ];
  const spread = featureError(`${what} over several shards is not supported`, HINT_BY_HAND);
  let { decision } = planned;
  if (decision.kind === 'everywhere') {
    const refused = action.kind === 'explain' && !action.analyze;
    decision = { kind: 'fixed', route: refused ? { kind: 'any', prefer: 0 } : { kind: 'refused', error: spread } };
  } else if (decision.kind !== 'fixed') {
    decision = { ...decision, spread };
  }
  return { ...planned, decision, writes, merge: 'first', lockFirst: undefined };
}

function explainUtility(topology: Topology): PlannedBody {
  const route: Route =
    topology.shards.length === 1 ? { kind: 'one', shard: 0 } : refuse('this EXPLAIN is not understood', HINT_BY_HAND);
  return body({ kind: 'fixed', route }, { writes: true });
}

function planCopy(copy: CopyStmt, topology: Topology): PlannedBody {
  const table = copy.relation === undefined ? undefined : resolveRelation(topology, copy.relation, undefined);
  const rules: ShardedRule[] = table?.rule?.kind === 'sharded' ? [table.rule] : [];
  const more = {
    rules,
    tables: table === undefined ? [] : [table.id],
    writes: copy.is_from === true,
    merge: 'concat' as const,
  };
  const no = (message: string, hint?: string) => body({ kind: 'fixed', route: refuse(message, hint) }, more);
  if (topology.shards.length === 1) return body({ kind: 'fixed', route: { kind: 'one', shard: 0 } }, more);
  if (copy.filename !== undefined || copy.is_program === true)
    return no('COPY with a file or program works on one server', HINT_BY_HAND);
  if (table?.kind === 'unlisted') return no(`table ${table.id} is not listed in sharding.tables`);
  if (copy.is_from === true) {
    return no(
      `COPY into ${table?.id ?? 'a table'} over several shards is not supported yet`,
      `Use INSERT. ${HINT_BY_HAND}`,
    );
  }
  if (rules.length === 0)
    return body({ kind: 'fixed', route: table?.kind === 'catalog' ? { kind: 'any', prefer: 0 } : ANY }, more);
  const plain = (copy.options ?? []).every(
    (option) => 'DefElem' in option && isPlainOption(option.DefElem.defname, option),
  );
  if (!plain || copy.whereClause !== undefined) {
    return no(`COPY ${table?.id ?? ''} TO over several shards knows only text and csv without HEADER`, HINT_BY_HAND);
  }
  return body({ kind: 'fixed', route: ALL }, more);
}

/** Options under which the outputs of several shards can be appended. */
function isPlainOption(name: string | undefined, option: Node): boolean {
  if (['delimiter', 'null', 'quote', 'escape', 'force_quote', 'encoding'].includes(name ?? '')) return true;
  return name === 'format' && !JSON.stringify(option).toLowerCase().includes('binary');
}

function planActing(node: Node, action: StatementAction, topology: Topology): PlannedBody {
  const facts = factsOf(node);
  const tables = [...facts.relations].map((relation) => resolveRelation(topology, relation, undefined));
  const rules = tables.flatMap(({ rule }) => (rule?.kind === 'sharded' ? [rule] : []));
  const more = { writes: true, locks: action.kind === 'lock', rules, tables: [...new Set(tables.map(({ id }) => id))] };
  const fixed = (route: Route) => body({ kind: 'fixed', route }, more);
  if (topology.shards.length === 1) return fixed({ kind: 'one', shard: 0 });
  if (action.kind === 'ddlOutsideTransaction') {
    return fixed(
      refuse(
        'this command cannot run inside a transaction, so it cannot run on all shards at once',
        `Run it on each shard. ${HINT_BY_HAND}`,
      ),
    );
  }
  if (action.kind === 'procedure') return fixed(refuse('DO and CALL run code that is not seen here', HINT_BY_HAND));
  if ('MergeStmt' in node)
    return fixed(refuse('MERGE is not supported across shards', 'Use INSERT … ON CONFLICT, UPDATE and DELETE.'));
  const unlisted = tables.find(({ kind }) => kind === 'unlisted');
  if (action.kind !== 'ddl' && unlisted !== undefined)
    return fixed(refuse(`table ${unlisted.id} is not listed in sharding.tables`));
  if ('LoadStmt' in node)
    return fixed(refuse('LOAD works on one server connection', 'Set session_preload_libraries on the shards.'));
  return fixed(ddlRefusal(node, topology) ?? ALL);
}
