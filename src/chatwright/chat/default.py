"""The chat template of a model that has none."""

# ChatML, with the assistant's turns marked for training. It refuses tools instead of hiding them from the model.
CHATML = """\
{%- if tools %}{{ raise_exception('this chat template has no place for tools') }}{% endif -%}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.tool_calls %}{{ raise_exception('this chat template has no place for tool calls') }}{% endif %}
{%- if message.role == 'assistant' %}
{%- generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}
{{- '\\n' }}
{%- else %}
{{- message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""
CHATML_TURN_END = "<|im_end|>"
