// What Powertools for TypeScript users write: logger, metrics and tracer as Middy middleware, and a batch.
import middy from '@middy/core';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { Tracer } from '@aws-lambda-powertools/tracer';
import { captureLambdaHandler } from '@aws-lambda-powertools/tracer/middleware';
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';

const logger = new Logger({ serviceName: 'shop' });
const metrics = new Metrics({ namespace: 'Shop', serviceName: 'shop' });
const tracer = new Tracer({ serviceName: 'shop' });
const processor = new BatchProcessor(EventType.SQS);

const oneOfBatch = async (record) => {
  if (JSON.parse(record.body).bad) throw new Error('a bad record');
};

export const handler = middy()
  .use(captureLambdaHandler(tracer))
  .use(injectLambdaContext(logger))
  .use(logMetrics(metrics, { captureColdStartMetric: true }))
  .handler(async (event, context) => {
    if (event.Records) return processPartialResponse(event, oneOfBatch, processor, { context });
    logger.info('An order came', { orderId: event.id });
    metrics.addMetric('Orders', MetricUnit.Count, 2);
    tracer.putAnnotation('order', event.id);
    return { ok: true };
  });
