// How a session keeps step with the tables' definitions. The rule: between DDL of this session and the next look at the
// shards nothing is planned from column order, and no plan that leans on an older look is routed.
import type { PlannedStatement, RoutingError, StatementAction } from '../routing/plan.ts';
import type { SessionState } from './session-state.ts';

/** Who looks at the tables on the shards. */
export interface SchemaWatch {
  /** Resolves after a look that began after the call, or when the shards do not answer. Never rejects. */
  refresh(): Promise<void>;
  /** A statement that leaned on what was seen has failed: maybe it is not true any more. */
  doubt(): void;
}

const CHANGES_TABLES: ReadonlySet<StatementAction['kind']> = new Set(['ddl', 'ddlOutsideTransaction', 'procedure']);

/** To be called before the statement is sent, or gathered to be sent. */
export function noteSchemaChange(session: SessionState, action: StatementAction): void {
  if (CHANGES_TABLES.has(action.kind)) session.schemaChanged = true;
}

/** Before ReadyForQuery outside a transaction: what comes next is planned with the tables as they are now. */
export async function settleSchema(session: SessionState): Promise<void> {
  if (!session.schemaChanged || session.transaction !== undefined) return;
  await session.services.schema.refresh();
  session.schemaChanged = false;
}

/** The plan of a statement that was planned some time ago: a new one if the tables have changed. */
export function currentPlan(session: SessionState, planned: PlannedStatement): PlannedStatement {
  if (!planned.outdated) return planned;
  const { statements } = session.services.router.plan(planned.text);
  return statements.length === 1 ? (statements[0] ?? planned) : planned;
}

/** Why a plan that leans on column order may not be routed now. */
export function schemaRefusal(session: SessionState, planned: PlannedStatement): RoutingError | undefined {
  if (!session.schemaChanged || planned.rewritten === undefined) return undefined;
  return {
    code: '0A000',
    message: 'an INSERT behind DDL in the same transaction must name its columns',
    hint: 'Write the column list, or commit the DDL first: until then the new columns are not known to the proxy.',
  };
}
