"""APIs from definitions: Swagger 2.0 and OpenAPI 3.0 in JSON, with API Gateway's `x-amazon-apigateway-…` extensions.

`document` reads, `importer` makes an API of it by the same rules that the single operations have.
"""
